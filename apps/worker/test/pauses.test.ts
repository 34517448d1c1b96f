import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type ApiClient, sleepWorkflow } from "@genga/testing";
import pg from "pg";
import { startTestStack, type TestStack } from "./support/test-stack.ts";

let stack: TestStack;
let api: ApiClient;
let client: pg.Client;

beforeAll(async () => {
  stack = await startTestStack({ workers: 2, env: { SERVER_SLOTS: "2" } });
  ({ api } = stack);
  client = new pg.Client({ connectionString: stack.databaseUrl });
  await client.connect();
}, 180_000);
afterAll(async () => {
  await client.end();
  await stack.stop();
}, 180_000);

const job = (): object => ({ type: "workflow", workflow: sleepWorkflow(0, { steps: 1 }) });

/** How many jobs of the batch are in this state. */
async function count(batchId: string, state: string): Promise<number> {
  const { rows } = await client.query<{ jobs: number }>(
    `SELECT count(*)::int AS jobs FROM jobs WHERE batch_id = $1 AND ${state}`,
    [batchId],
  );
  return rows[0]!.jobs;
}

test("a batch that is paused and resumed while workers take its tickets completes, each job with one attempt", async () => {
  const { id } = await api.submitBatch(Array.from({ length: 30 }, job));
  for (let pauses = 0; (await count(id, "status <> 'completed'")) > 0; pauses += 1) {
    await api.request("POST", `batches/${id}/pause`);
    // Every other time the batch is resumed while tickets of the time before are still held or removed.
    if (pauses % 2 === 0) {
      while ((await count(id, "status = 'processing'")) > 0) await sleep(20);
      const claims = await count(id, "attempt > 0");
      expect(await count(id, "status = 'queued' AND (paused_at IS NULL OR enqueued_at IS NOT NULL)")).toBe(0);
      expect(await count(id, "attempt > 0")).toBe(claims);
    }
    await api.request("POST", `batches/${id}/resume`);
    const completed = await count(id, "status = 'completed'");
    while ((await count(id, "status = 'completed'")) < Math.min(completed + 6, 30)) await sleep(20);
  }
  expect(await api.batch(id)).toMatchObject({ counts: { completed: 30 } });
  expect(await count(id, "attempt = 1")).toBe(30);
}, 180_000);
