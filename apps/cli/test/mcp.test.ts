import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { migrate } from "@genga/database";
import {
  createTestDatabase,
  sleepWorkflow,
  startStack,
  startTcpProxy,
  type Stack,
  type TcpProxy,
  type TestDatabase,
} from "@genga/testing";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { DEFAULT_REQUEST_TIMEOUT_MSEC } from "@modelcontextprotocol/sdk/shared/protocol.js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import sharp from "sharp";
import { z } from "zod";

// An agent, as the official SDK has it, that started `genga mcp`.

const bin = fileURLToPath(new URL("../bin/genga.mjs", import.meta.url));
let database: TestDatabase;
let stack: Stack;
let proxy: TcpProxy;
let agent: Client;
let transport: StdioClientTransport;

beforeAll(async () => {
  database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  stack = await startStack({ databaseUrl: database.url });
  proxy = await startTcpProxy({ targetUrl: stack.url });
  agent = new Client({ name: "test", version: "1" });
  const env = { GENGA_URL: proxy.url, GENGA_CONFIG: join(tmpdir(), "no-login.json") };
  transport = new StdioClientTransport({ command: process.execPath, args: [bin, "mcp"], env });
  await agent.connect(transport);
}, 180_000);
afterAll(async () => {
  await agent.close();
  await proxy.close();
  await stack.stop();
  await database.drop();
}, 180_000);

const contentSchema = z.array(
  z.union([
    z.object({ type: z.literal("text"), text: z.string() }),
    z.object({ type: z.literal("image"), data: z.base64(), mimeType: z.string() }),
  ]),
);

async function call(
  name: string,
  args: object,
): Promise<{ isError: boolean; content: z.infer<typeof contentSchema> }> {
  const { isError = false, content } = await agent.callTool({ name, arguments: { ...args } });
  return { isError: isError === true, content: contentSchema.parse(content) };
}

const factsSchema = z.looseObject({
  id: z.string().optional(),
  status: z.string().optional(),
  outputs: z.array(z.looseObject({ index: z.number(), url: z.string() })).optional(),
});

async function factsOf(name: string, args: object): Promise<z.infer<typeof factsSchema>> {
  const { isError, content } = await call(name, args);
  const [first] = content;
  if (isError || first?.type !== "text") throw new Error(JSON.stringify(content));
  return factsSchema.parse(JSON.parse(first.text));
}

test("an agent finds its tools, submits a job, waits for it and sees the picture", async () => {
  const { tools } = await agent.listTools();
  expect(tools.map(({ name }) => name).toSorted()).toEqual([
    "cancel_job",
    "list_jobs",
    "list_models",
    "list_templates",
    "look_at_output",
    "show_job",
    "submit_job",
    "watch_job",
  ]);
  const [templates] = (await call("list_templates", { name: "image" })).content;
  expect(JSON.stringify(templates)).toContain("prompt");
  const job = await factsOf("submit_job", {
    prompt: "a hill",
    parameters: { steps: 2, width: 256, height: 512 },
  });
  const ended = await factsOf("watch_job", { id: job.id, seconds: 60 });
  expect(ended.status).toBe("completed");
  const { content } = await call("look_at_output", { id: job.id, size: "256" });
  const [picture] = content;
  if (picture?.type !== "image") throw new Error("no image");
  expect(await sharp(Buffer.from(picture.data, "base64")).metadata()).toMatchObject({
    format: "jpeg",
    width: 128,
  });
  expect(JSON.stringify((await call("list_jobs", { text: "hill" })).content)).toContain(job.id);
}, 180_000);

test("a refusal names the fields, so that the agent can mend its request", async () => {
  const refused = await call("submit_job", { prompt: "a hill", parameters: { width: 100, steps: 0 } });
  expect(refused.isError).toBe(true);
  expect(JSON.stringify(refused.content)).toMatch(/width: .*steps: /);
  const unknown = await call("show_job", { id: "0199a7b2-0000-7000-8000-000000000000" });
  expect(unknown.isError).toBe(true);
  for (const name of ["show_job", "watch_job", "cancel_job", "look_at_output"])
    for (const id of ["", "..", "jobs"]) {
      const wrong = await call(name, { id });
      expect([wrong.isError, JSON.stringify(wrong.content)]).toEqual([
        true,
        expect.stringContaining("Invalid"),
      ]);
    }
  const missing = await call("look_at_output", {
    id: (await factsOf("submit_job", { prompt: "x" })).id,
    index: 7,
  });
  expect(missing.isError).toBe(true);
});

test("a watch ends with its time, and a running job can be cancelled", async () => {
  const job = await factsOf("submit_job", { workflow: sleepWorkflow(30) });
  expect((await factsOf("watch_job", { id: job.id, seconds: 1 })).status).toMatch(/queued|processing/);
  await factsOf("cancel_job", { id: job.id });
  expect((await factsOf("watch_job", { id: job.id })).status).toBe("cancelled");
}, 180_000);

test("a watch ends before the official client gives it up", async () => {
  const { tools } = await agent.listTools();
  const { properties } = tools.find(({ name }) => name === "watch_job")!.inputSchema;
  const { seconds } = z.object({ seconds: z.object({ default: z.number() }) }).parse(properties);
  expect(seconds.default * 1_000).toBeLessThanOrEqual(DEFAULT_REQUEST_TIMEOUT_MSEC - 10_000);
});

test("many templates are all named, and one that is archived meanwhile hides no other", async () => {
  const templates = `${stack.url}/api/anime/templates`;
  const names = Array.from({ length: 210 }, (_, at) => `many-${String(at).padStart(3, "0")}`);
  const workflow = {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: 0 } },
    "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "x" } },
  };
  const parameters = { color: { type: "integer", targets: [{ node: "1", input: "color" }] } };
  for (const name of names) {
    const body = JSON.stringify({ name, workflow, parameters });
    const headers = { "content-type": "application/json" };
    const response = await fetch(templates, { method: "POST", headers, body });
    expect(response.status).toBe(201);
  }
  const stop = proxy.observe(({ data, connection }) => {
    if (!data.toString("latin1").startsWith("GET /api/anime/templates/many-003 ")) return;
    stop();
    connection.hold();
    void fetch(`${templates}/many-003`, { method: "DELETE" }).then(() => {
      connection.release();
    });
  });
  const { isError, content } = await call("list_templates", {});
  expect(isError).toBe(false);
  const [first] = content;
  if (first?.type !== "text") throw new Error("no text");
  const listed = z
    .object({
      templates: z.array(z.object({ name: z.string(), parameters: z.looseObject({}) })),
      othersByNameAlone: z.array(z.string()),
    })
    .parse(JSON.parse(first.text));
  const detailed = listed.templates.map(({ name }) => name);
  expect(detailed).toHaveLength(49);
  const own = [...detailed, ...listed.othersByNameAlone].filter((name) => name.startsWith("many-"));
  expect(own.toSorted()).toEqual(names.filter((name) => name !== "many-003"));
}, 180_000);

test("the conversation of the documentation is what happens", async () => {
  const docs = fileURLToPath(new URL("../../../docs/agents.md", import.meta.url));
  const [, conversation = ""] = /```mcp\n([\s\S]*?)```/.exec(await readFile(docs, "utf8")) ?? [];
  const turns = conversation.split(/^(?=\w+_\w+ \{)/m);
  expect(turns.length).toBeGreaterThan(3);
  let id = "";
  for (const turn of turns) {
    const [asked = "", ...expected] = turn.trimEnd().split("\n");
    const [tool = "", args = ""] = asked.split(/ (.*)/);
    const { content } = await call(
      tool,
      z.record(z.string(), z.unknown()).parse(JSON.parse(args.replace("$id", id))),
    );
    const said = content.map((part) =>
      part.type === "image" ? part.mimeType : part.text.replaceAll(/\s+/g, " "),
    );
    id = /"id": "([^"]+)"/.exec(said.join())?.[1] ?? id;
    const pattern = expected
      .join("\n")
      .replace(/[.*+?^${}()|[\]\\]/g, "\\$&")
      .replaceAll("…", "[^]*?");
    expect(`${asked}\n${said.join("\n")}`).toMatch(
      new RegExp(`\\n${pattern}${pattern.endsWith("?") ? "" : "$"}`),
    );
  }
}, 180_000);

test.each([
  ["closes its input", (child: ChildProcess) => child.stdin!.end()],
  ["ends it by SIGTERM", (child: ChildProcess) => child.kill("SIGTERM")],
  ["ends it by Ctrl-C", (child: ChildProcess) => child.kill("SIGINT")],
])(
  "a server whose client %s has not failed",
  async (_how, end) => {
    const env = {
      PATH: process.env["PATH"],
      GENGA_URL: stack.url,
      GENGA_CONFIG: join(tmpdir(), "no-login.json"),
    };
    const child = spawn(process.execPath, [bin, "mcp"], { env, stdio: ["pipe", "pipe", "inherit"] });
    const closed = once(child, "close");
    child.stdin.write(`{"jsonrpc":"2.0","id":1,"method":"ping"}\n`);
    await once(child.stdout, "data");
    end(child);
    expect(await closed).toEqual([0, null]);
  },
  60_000,
);

// The last one: it ends the server.
test("a server that is told to end does so, also while a job is watched", async () => {
  const job = await factsOf("submit_job", { workflow: sleepWorkflow(30) });
  const told = new Promise<void>((resolve) => {
    void agent
      .callTool({ name: "watch_job", arguments: { id: job.id } }, undefined, {
        onprogress: () => {
          resolve();
        },
      })
      .catch(() => undefined);
  });
  await told;
  const closed = new Promise<void>((resolve) => {
    agent.onclose = resolve;
  });
  process.kill(transport.pid!, "SIGTERM");
  await closed;
}, 180_000);
