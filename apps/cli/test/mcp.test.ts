import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { migrate } from "@genga/database";
import { createTestDatabase, sleepWorkflow, startStack, type Stack, type TestDatabase } from "@genga/testing";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import sharp from "sharp";
import { z } from "zod";

// An agent, as the official SDK has it, that started `genga mcp`.

let database: TestDatabase;
let stack: Stack;
let agent: Client;

beforeAll(async () => {
  database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  stack = await startStack({ databaseUrl: database.url });
  agent = new Client({ name: "test", version: "1" });
  const bin = fileURLToPath(new URL("../bin/genga.mjs", import.meta.url));
  const env = { GENGA_URL: stack.url, GENGA_CONFIG: join(tmpdir(), "no-login.json") };
  await agent.connect(new StdioClientTransport({ command: process.execPath, args: [bin, "mcp"], env }));
}, 180_000);
afterAll(async () => {
  await agent.close();
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
