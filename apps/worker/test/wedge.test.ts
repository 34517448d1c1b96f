import { afterEach, beforeEach, expect, test } from "@jest/globals";
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

beforeEach(async () => {
  database = await createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) });
}, 30_000);

afterEach(async () => {
  await stack.stop();
  await database.drop();
}, 30_000);

test("what waits on a wedged server is taken back from it before it runs elsewhere, once", async () => {
  stack = await startStack({ databaseUrl: database.url, simulators: 2 });
  const api = new ApiClient(stack.url);
  const [wedged, healthy] = stack.simulators;
  const worker = stack.workers[0]!;
  // Each is given one of the two jobs.
  for (const { url } of stack.simulators) await worker.line(new RegExp(`${url}.*"state":"online"`));
  await wedged!.fault({ kind: "wedge" });
  const ids = await Promise.all(
    [1, 2].map(() => api.submit({ type: "workflow", workflow: sleepWorkflow(0.1) })),
  );
  await worker.line(/"state":"wedged".*server takes no work/);
  await worker.line(/requeued: Its server was given up. It accepts prompts and starts none/);
  const queue: unknown = await (await fetch(`${wedged!.url}/queue`)).json();
  expect(queue).toEqual({ queue_running: [], queue_pending: [] });
  for (const id of ids) expect((await api.untilEnded(id)).status).toBe("completed");
  expect(await wedged!.executions()).toEqual([]);
  expect(await healthy!.executions()).toHaveLength(2);
}, 60_000);
