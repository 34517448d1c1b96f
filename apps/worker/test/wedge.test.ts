import { afterEach, expect, test } from "@jest/globals";
import { sleepWorkflow } from "@genga/testing";
import { startTestStack, type TestStack } from "./support/test-stack.ts";

let stack: TestStack;

afterEach(async () => {
  await stack.stop();
}, 180_000);

test("what waits on a wedged server is taken back from it before it runs elsewhere, once", async () => {
  stack = await startTestStack({ simulators: 2 });
  const { api } = stack;
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
}, 180_000);
