import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type Signals } from "@genga/jobs";
import { createSignals } from "@genga/queue";
import { createLogger } from "@genga/runtime";
import { ApiClient, startStack, testServiceUrl, type Stack, type TestDatabase } from "@genga/testing";
import pg from "pg";
import { createMigratedDatabase } from "./support/test-stack.ts";

// One API, one worker, two equal servers: what is kept of their definitions, and who sees the files on them.

let database: TestDatabase;
let stack: Stack;
let api: ApiClient;
let signals: Signals;
const read = new Set<() => void>();

beforeAll(async () => {
  database = await createMigratedDatabase();
  await rows(`INSERT INTO node_definitions (hash, object_info, last_named_at)
    VALUES ('of an earlier version', '{}', now() - interval '1 hour')`);
  stack = await startStack({ databaseUrl: database.url, simulators: 2 });
  api = new ApiClient(stack.url);
  signals = createSignals({
    redisUrl: testServiceUrl("TEST_REDIS_URL"),
    prefix: stack.env["REDIS_PREFIX"]!,
    logger: createLogger({ name: "test", level: "silent" }),
  });
  await signals.subscribe("definitions-read", () => {
    for (const note of read) note();
  });
  await api.untilEnded(await api.submit({ type: "image", prompt: "x", width: 256, height: 256, steps: 1 }));
}, 180_000);

afterAll(async () => {
  await signals.close();
  await stack.stop();
  await database.drop();
}, 180_000);

async function rows<Row>(query: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    return (await client.query(query)).rows as Row[];
  } finally {
    await client.end();
  }
}

/** Both servers have been asked again. */
async function readAgain(): Promise<void> {
  let left = stack.simulators.length;
  await new Promise<void>((resolve) => {
    const note = (): void => {
      left -= 1;
      if (left > 0) return;
      read.delete(note);
      resolve();
    };
    read.add(note);
    signals.publish("definitions-wanted", { requestedBy: "test" });
  });
}

async function dropFile(name: string, simulator = stack.simulators[0]!): Promise<void> {
  const pixel =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
  const form = new FormData();
  form.set("image", new Blob([Buffer.from(pixel, "base64")], { type: "image/png" }), name);
  const reply = await fetch(new URL("/upload/image", simulator.url), { method: "POST", body: form });
  expect(reply.status).toBe(200);
}

const graphOf = (image: string): object => ({
  type: "workflow",
  workflow: {
    "1": { class_type: "LoadImage", inputs: { image } },
    "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "x" } },
  },
});

test("definitions that no server has any more are removed", async () => {
  // They were there before the worker started.
  while ((await rows("SELECT FROM node_definitions WHERE hash = 'of an earlier version'")).length > 0) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(await rows("SELECT FROM node_definitions")).toHaveLength(1);
});

test("files that people drop into a server's input folder are no new definitions, and nobody reads their names", async () => {
  await readAgain();
  const [before] = await rows<{ hash: string }>("SELECT hash FROM node_definitions");
  for (const name of ["holiday.png", "contract-of-another.png"]) await dropFile(name);
  await readAgain();
  expect(await rows("SELECT hash FROM node_definitions")).toEqual([before]);
  expect(await rows("SELECT DISTINCT definitions_hash AS hash FROM servers")).toEqual([before]);
  const [stored] = await rows<{ text: string }>("SELECT object_info::text AS text FROM node_definitions");
  expect(stored?.text).not.toContain("holiday");

  const refused = await api.request("POST", "generate", {
    type: "workflow",
    workflow: {
      "1": { class_type: "LoadImage", inputs: { image: 7 } },
      "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "x" } },
    },
  });
  expect(refused.status).toBe(422);
  expect(await refused.text()).not.toMatch(/holiday|contract/);
});

test("a graph that names a file of the servers' own runs where the file is, and the answer remarks on it", async () => {
  await dropFile("only-on-the-second.png", stack.simulators[1]);
  const reply = await api.request("POST", "generate", graphOf("only-on-the-second.png"));
  expect(reply.status).toBe(202);
  const { id, warnings } = (await reply.json()) as { id: string; warnings: string[] };
  expect(warnings).toEqual([
    'Node 1 (LoadImage), image: Genga does not know the server\'s own files; the job fails if "only-on-the-second.png" is not one of them.',
  ]);
  expect(await api.untilEnded(id)).toMatchObject({ status: "completed" });
});

test("a file that is nowhere fails its job, and the reason names no other file", async () => {
  const reply = await api.request("POST", "generate", graphOf("nowhere.png"));
  expect(reply.status).toBe(202);
  const { id } = (await reply.json()) as { id: string };
  const job = await api.untilEnded(id);
  expect(job).toMatchObject({ status: "failed" });
  expect(JSON.stringify(job)).toContain("nowhere.png");
  expect(JSON.stringify(job)).not.toMatch(/holiday|contract|second/);
});
