import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { migrate } from "@genga/database";
import {
  ApiClient,
  createTestDatabase,
  sleepWorkflow,
  startStack,
  type Stack,
  type TestDatabase,
} from "@genga/testing";
import { z } from "zod";

const keys = {
  own: "own-key-0123456789abcdef",
  other: "other-key-0123456789abcdef",
  operator: "operator-key-0123456789",
};
let scratch: TestDatabase;
let stack: Stack;

beforeAll(async () => {
  scratch = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  stack = await startStack({
    databaseUrl: scratch.url,
    ...{ simulators: 2, workers: 1, apis: 2 },
    simulatorArgs: ["--load-ms", "200", "--step-ms", "50", "--save-ms", "0"],
    env: { API_KEYS: `own:${keys.own},other:${keys.other},farm:operate:${keys.operator}` },
  });
}, 180_000);

afterAll(async () => {
  await stack.stop();
  await scratch.drop();
}, 180_000);

const client = (key: keyof typeof keys, api = 0): ApiClient =>
  new ApiClient(String(stack.apis[api]!.details["url"]), keys[key]);

const momentsSchema = z.object({ low: z.coerce.date(), expected: z.coerce.date(), high: z.coerce.date() });
const etaSchema = z.object({
  status: z.string().optional(),
  eta: z.object({ startsAt: momentsSchema.nullable(), endsAt: momentsSchema }).nullable(),
  etaReason: z.object({ code: z.string() }).nullable(),
});

async function etaOf(path: string, api = 0): Promise<z.infer<typeof etaSchema>> {
  return etaSchema.parse(await (await client("own", api).request("GET", path)).json());
}

const picture = (steps: number): object => ({
  ...{ type: "image", prompt: "a cat", width: 256, height: 256, steps },
});

/** Two kinds of jobs, by how long they take; they cost no processor time, which a busy machine may not have. */
const sleeping = (seconds: number): object => ({ type: "workflow", workflow: sleepWorkflow(seconds) });
const [short, long] = [0.4, 2];

test("no ETA before anything was measured; after 20 jobs of two kinds the median error is small, and ETAs come true", async () => {
  const own = client("own");
  // Until this one has ended, no job has.
  const first = await own.submitBatch([sleeping(30)]);
  const none = { eta: null, etaReason: { code: "not-measured" } };
  expect(await etaOf(`jobs/${first.jobIds[0]!}`)).toMatchObject(none);
  expect(await etaOf(`batches/${first.id}`)).toMatchObject(none);
  await own.cancel(first.jobIds[0]!);
  const learning = await own.submitBatch(
    Array.from({ length: 20 }, (_unused, index) => sleeping(index % 2 === 0 ? short : long)),
  );
  await Promise.all(learning.jobIds.map((id) => own.untilEnded(id)));
  const batch = await own.submitBatch(
    Array.from({ length: 12 }, (_unused, index) => sleeping(index < 6 ? long : short)),
  );
  const atOnce = Date.now();
  const [ofBatch, ofLast] = await Promise.all([
    etaOf(`batches/${batch.id}`, 1),
    etaOf(`jobs/${batch.jobIds[11]!}`, 1),
  ]);
  await Promise.all(batch.jobIds.map((id) => own.untilEnded(id)));
  const tookMs = Date.now() - atOnce;
  // Measurements are written in groups.
  const queueSchema = z.object({
    estimates: z.object({ medianError: z.number().nullable(), runs: z.int() }),
  });
  const readEstimates = async (): Promise<z.infer<typeof queueSchema>["estimates"]> =>
    queueSchema.parse(await (await client("operator").request("GET", "queue")).json()).estimates;
  let estimates = await readEstimates();
  while (estimates.runs < 12) {
    await sleep(100);
    estimates = await readEstimates();
  }
  expect(estimates.medianError).toBeLessThanOrEqual(0.25);
  const metrics = await fetch(new URL("/metrics", String(stack.apis[0]!.details["url"])), {
    headers: { "x-api-key": keys.operator },
  });
  expect(await metrics.text()).toMatch(/^genga_estimate_error\{[^}]*\} 0\.\d+/m);

  expect(await etaOf(`jobs/${batch.jobIds[11]!}`)).toMatchObject({ eta: null, etaReason: { code: "ended" } });
  expect(await etaOf(`batches/${batch.id}`)).toMatchObject({ eta: null, etaReason: { code: "ended" } });
  expect(ofLast.eta?.startsAt).not.toBeNull();
  for (const { eta } of [ofBatch, ofLast]) {
    const { low, expected, high } = eta!.endsAt;
    expect(low.getTime()).toBeLessThanOrEqual(expected.getTime());
    expect(expected.getTime()).toBeLessThanOrEqual(high.getTime());
    const error = Math.abs(expected.getTime() - atOnce - tookMs) / tookMs;
    expect(error).toBeLessThan(0.75);
  }
}, 180_000);

async function until<Value>(find: () => Promise<Value | undefined>): Promise<Value> {
  for (;;) {
    const found = await find();
    if (found !== undefined) return found;
    await sleep(50);
  }
}

const missingOf = (response: Response): [number, string | null] => [
  response.status,
  response.headers.get("preview-missing"),
];

test("the preview of a running job, through any API process, to its own tenant, and gone with the end of the job", async () => {
  const own = client("own");
  const id = await own.submit({ ...picture(100), seed: 4711 });
  const previewOf = (
    key: keyof typeof keys,
    api: number,
    headers: Record<string, string> = {},
  ): Promise<Response> =>
    fetch(`${String(stack.apis[api]!.details["url"])}/api/anime/jobs/${id}/preview`, {
      headers: { "x-api-key": keys[key], ...headers },
    });
  const early = await previewOf("own", 0);
  if (early.status === 204) expect(missingOf(early)[1]).toMatch(/^(not-running|none-yet)$/);
  const stream = new AbortController();
  const announced = (async () => {
    const url = `${String(stack.apis[1]!.details["url"])}/api/anime/events?previews=true`;
    const response = await fetch(url, { headers: { "x-api-key": keys.own }, signal: stream.signal });
    let text = "";
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const [message] = /event: preview\ndata: .*\n\n/.exec(text) ?? [];
      if (message !== undefined) return message;
    }
    throw new Error("The stream ended.");
  })();
  for (const api of [0, 1]) {
    const shown = await until(async () => {
      const response = await previewOf("own", api);
      return response.status === 200 ? response : undefined;
    });
    expect(shown.headers.get("content-type")).toBe("image/jpeg");
    const bytes = Buffer.from(await shown.arrayBuffer());
    expect([bytes[0], bytes[1], bytes.length > 500]).toEqual([0xff, 0xd8, true]);
    expect((await previewOf("own", api, { "if-none-match": "*" })).status).toBe(304);
    // A new picture may come between the two requests.
    await until(async () => {
      const etag = (await previewOf("own", api)).headers.get("etag") ?? "";
      const again = await previewOf("own", api, { "if-none-match": `"other", W/${etag}` });
      return again.status === 304 && again.headers.get("etag") === etag ? true : undefined;
    });
  }
  expect(JSON.parse(/data: (.*)/.exec(await announced)![1]!)).toMatchObject({
    ...{
      jobId: id,
      attempt: 1,
      links: { preview: expect.stringContaining(`/jobs/${id}/preview`) },
    },
  });
  stream.abort();
  expect((await previewOf("other", 0)).status).toBe(404);
  await own.cancel(id);
  await own.untilEnded(id);
  for (const api of [0, 1]) expect(missingOf(await previewOf("own", api))).toEqual([204, "ended"]);
}, 180_000);
