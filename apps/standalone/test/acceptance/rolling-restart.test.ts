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

let database: TestDatabase;
let stack: Stack;

beforeAll(async () => {
  database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
  stack = await startStack({ databaseUrl: database.url, simulators: 2, workers: 2 });
}, 180_000);

afterAll(async () => {
  await stack.stop();
  await database.drop();
}, 180_000);

test("a rolling restart of all workers in the middle of 200 jobs costs no render and no job", async () => {
  const api = new ApiClient(stack.url);
  const { id, jobIds } = await api.submitBatch(
    Array.from({ length: 200 }, () => ({ type: "workflow", workflow: sleepWorkflow(0.05) })),
  );
  const stopTimes: number[] = [];
  for (const [index, worker] of [...stack.workers].entries()) {
    // They are served in their order, so that this one's end tells how far the batch has come.
    await api.untilEnded(jobIds[30 + 60 * index]!);
    const startedAt = performance.now();
    expect(await worker.stop()).toBe(0);
    stopTimes.push(performance.now() - startedAt);
    expect((await api.batch(id)).counts["completed"]).toBeLessThan(200);
    await stack.startWorker();
  }
  // What was claimed and not posted yet when its worker stopped begins a second attempt; it renders once all the same.
  for (const jobId of jobIds) expect((await api.untilEnded(jobId)).status).toBe("completed");
  expect(Math.max(...stopTimes)).toBeLessThan(10_000);
  const executions = (await Promise.all(stack.simulators.map((simulator) => simulator.executions()))).flat();
  expect(executions).toHaveLength(200);
  expect(new Set(executions).size).toBe(200);
}, 180_000);
