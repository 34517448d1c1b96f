import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { migrate } from "@genga/database";
import { ApiClient, createTestDatabase, startStack, type Stack, type TestDatabase } from "@genga/testing";
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
}, 60_000);

afterAll(async () => {
  await stack.stop();
  await scratch.drop();
}, 30_000);

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

/** Two kinds of pictures, which take 0.2 s and 1.2 s. */
const picture = (steps: number): object => ({
  ...{ type: "image", prompt: "a cat", width: 256, height: 256, steps },
});

test("no ETA before anything was measured; after 20 jobs of two kinds the median error is small, and ETAs come true", async () => {
  const own = client("own");
  const first = await own.submitBatch([picture(4), picture(24)]);
  const before = await etaOf(`jobs/${first.jobIds[1]!}`);
  expect(before).toMatchObject({ eta: null, etaReason: { code: "not-measured" } });
  expect(await etaOf(`batches/${first.id}`)).toMatchObject({
    eta: null,
    etaReason: { code: "not-measured" },
  });
  await Promise.all(first.jobIds.map((id) => own.untilEnded(id)));
  const learning = await own.submitBatch(
    Array.from({ length: 18 }, (_unused, index) => picture(index % 2 === 0 ? 4 : 24)),
  );
  await Promise.all(learning.jobIds.map((id) => own.untilEnded(id)));
  const batch = await own.submitBatch(
    Array.from({ length: 12 }, (_unused, index) => picture(index < 6 ? 24 : 4)),
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
}, 120_000);
