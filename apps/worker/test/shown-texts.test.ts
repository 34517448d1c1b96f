import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type ApiClient, sleepWorkflow, type JobAnswer } from "@genga/testing";
import pg from "pg";
import sharp from "sharp";
import { startOddStack, type OddStack } from "./support/test-stack.ts";

// A server that quotes what it was given: what clients, rows and logs show of it.

const [oldKey, newKey] = [
  "b2xkLCBmb3IgdGVzdHMgb25seSwgbm90IHJhbmRvbSE=",
  "bmV3LCBmb3IgdGVzdHMgb25seSwgbm90IHJhbmRvbSE=",
];
const secret = "comfyui-4711-secret-words";
let stack: OddStack;
let api: ApiClient;

beforeAll(async () => {
  stack = await startOddStack({
    serverArgs: ["--node-packs", "core,recording-nodes,telling-nodes"],
    env: { SECRETS_KEY: newKey, LOG_LEVEL: "trace" },
  });
  ({ api } = stack);
}, 180_000);
afterAll(async () => {
  await stack.stop();
}, 180_000);

const quoting = (how: "text" | "failure" | "warning"): object => ({
  type: "workflow",
  extraData: { api_key_comfy_org: secret },
  workflow: {
    "1": { class_type: "QuoteKey", inputs: { how } },
    "2": { class_type: "PreviewAny", inputs: { source: ["1", 0] } },
  },
});

async function run(body: object): Promise<JobAnswer> {
  return api.untilEnded(await api.submit(body));
}

/** All that clients can ask of a job, its events as well. */
async function answersAbout(id: string): Promise<string> {
  const paths = ["outputs", "attempts", "parameters", "workflow"].map((what) => `jobs/${id}/${what}`);
  const texts = [`job/${id}`, "jobs", "queue", "servers", "health", ...paths].map(async (path) => {
    const answer = await api.request("GET", path);
    expect([path, answer.status]).toEqual([path, 200]);
    return answer.text();
  });
  const frames: unknown[] = [];
  for await (const frame of api.events(id, { lastEventId: "0" })) frames.push(frame);
  return [...(await Promise.all(texts)), JSON.stringify(frames)].join("\n");
}

async function rowsAndLogs(): Promise<string> {
  const client = new pg.Client({ connectionString: stack.databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ text: string }>(
      "SELECT database_to_xml(true, false, '')::text AS text",
    );
    return [rows[0]!.text, ...[...stack.workers, ...stack.apis].flatMap(({ lines }) => lines)].join("\n");
  } finally {
    await client.end();
  }
}

describe("a secret of extraData that a server quotes", () => {
  test("in a failure is in no answer, event, row or log", async () => {
    const job = await run(quoting("failure"));
    expect(job).toMatchObject({ status: "failed", failure: { nodeId: "1" } });
    expect(job.failure!.message).toContain("Unauthorized: ***");
    const answers = await answersAbout(job.id);
    expect(answers).toContain('"exceptionMessage":"Unauthorized: ***"');
    expect(answers).not.toContain(secret);
    expect(await rowsAndLogs()).not.toContain(secret);
  });

  test("in a warning is in no answer, event, row or log", async () => {
    const job = await run(quoting("warning"));
    expect(job).toMatchObject({
      status: "completed",
      warnings: ["Node 2 (PreviewAny) was blocked, and what it makes is missing: Unauthorized: ***"],
    });
    expect(await answersAbout(job.id)).not.toContain(secret);
    expect(await rowsAndLogs()).not.toContain(secret);
  });

  test("in a text output is in no answer, event, row or log", async () => {
    const job = await run(quoting("text"));
    expect((await api.outputs(job.id)).map(({ text }) => text)).toEqual([
      `length ${secret.length}`,
      ...["Unauthorized: ***", "Unauthorized: ***"],
    ]);
    expect(await answersAbout(job.id)).not.toContain(secret);
    expect(await rowsAndLogs()).not.toContain(secret);
  });

  test.each([
    [400, JSON.stringify({ error: { type: "x", message: `no such key: ${secret}`, details: "" } })],
    [403, `the firewall does not like ${secret}`],
    [500, `cannot deal with ${secret}`],
  ])(
    "in its answer %i to the prompt is in no answer, event, row or log",
    async (status, body) => {
      let isFirst = true;
      stack.odd.refuse = (method, path) => {
        if (!isFirst || method !== "POST" || path !== "/prompt") return undefined;
        isFirst = false;
        return { status, body };
      };
      const job = await run(quoting("text"));
      expect([job.status, job.attempt]).toEqual(["completed", 2]);
      const answers = await answersAbout(job.id);
      expect(answers).toContain("***");
      expect(answers).not.toContain(secret);
      expect(await rowsAndLogs()).not.toContain(secret);
    },
    180_000,
  );

  test("is not shown by a worker that took the prompt over and cannot decrypt the secret", async () => {
    const first = stack.workers[0]!;
    const before = await api.submit({ type: "workflow", workflow: sleepWorkflow(300) });
    await api.until(before, ({ phase }) => phase === "executing");
    const quotes = await api.submit(quoting("failure"));
    await api.until(quotes, ({ phase }) => phase === "submitted");
    await first.stop();
    await stack.startWorker({ SECRETS_KEY: oldKey });
    expect(await api.cancel(before)).toBe(202);
    const failed = await api.untilEnded(quotes);
    expect([failed.status, failed.attempt]).toEqual(["failed", 1]);
    expect(failed.failure!.message).toContain("What the server said is left out");
    expect(await answersAbout(failed.id)).not.toContain(secret);
    expect(await rowsAndLogs()).not.toContain(secret);
  }, 180_000);
});

describe("the name of an upload", () => {
  const ownNames = /genga\/[0-9a-f]{32}\//;
  let name: string;

  beforeAll(async () => {
    const image = sharp({ create: { width: 64, height: 64, channels: 3, background: "#00ff00" } });
    const response = await fetch(`${stack.url}/api/anime/uploads`, {
      method: "POST",
      headers: { "content-type": "image/png" },
      body: new Uint8Array(await image.png().toBuffer()),
    });
    name = ((await response.json()) as { name: string }).name;
  });

  const loaded = (): object => ({ class_type: "LoadImage", inputs: { image: name } });

  test("is the one that clients know in a failure", async () => {
    const job = await run({
      type: "workflow",
      workflow: {
        "1": { class_type: "ProtoFail", inputs: { image: ["3", 0], mode: "value", message: name, seed: 0 } },
        "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: "a" } },
        "3": loaded(),
      },
    });
    expect(job).toMatchObject({ status: "failed", failure: { nodeId: "1" } });
    expect(job.failure!.message).toContain(name);
    const answers = await answersAbout(job.id);
    expect(answers).toContain(`"exceptionMessage":"${name}"`);
    expect(answers).not.toMatch(ownNames);
  });

  test("is the one that clients know in a text output, and in the picture that tells how it was made", async () => {
    const job = await run({
      type: "workflow",
      workflow: {
        "1": { class_type: "PreviewAny", inputs: { source: name } },
        "2": { class_type: "SaveImage", inputs: { images: ["3", 0], filename_prefix: "a" } },
        "3": loaded(),
      },
    });
    expect([job.status, job.failure]).toEqual(["completed", null]);
    const outputs = await api.outputs(job.id);
    expect(outputs.find(({ kind }) => kind === "text")!.text).toBe(name);
    const picture = (await api.download(outputs.find(({ kind }) => kind === "file")!.id)).toString("latin1");
    expect(picture).toContain(name);
    expect(picture).not.toMatch(ownNames);
    expect(await answersAbout(job.id)).not.toMatch(ownNames);
  });
});
