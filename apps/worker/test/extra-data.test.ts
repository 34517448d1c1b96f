import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { type ApiClient, sleepWorkflow } from "@genga/testing";
import { startOddStack, type OddStack } from "./support/test-stack.ts";

// One API with a SECRETS_KEY, workers with other ones, one simulated server: what the server gets of a job's extra data.

let stack: OddStack;
let api: ApiClient;
const [oldKey, newKey] = [
  "b2xkLCBmb3IgdGVzdHMgb25seSwgbm90IHJhbmRvbSE=",
  "bmV3LCBmb3IgdGVzdHMgb25seSwgbm90IHJhbmRvbSE=",
];

beforeAll(async () => {
  stack = await startOddStack({ keepsHistory: true, workers: 0, env: { SECRETS_KEY: newKey } });
  ({ api } = stack);
}, 180_000);
afterEach(async () => {
  await Promise.all(stack.workers.splice(0).map((worker) => worker.stop()));
});
afterAll(async () => {
  await stack.stop();
}, 180_000);

const submit = (seconds: number): Promise<string> =>
  api.submit({
    type: "workflow",
    workflow: sleepWorkflow(seconds),
    // The server keeps keys that it does not know in its history, where they can be seen.
    extraData: { partner_token: "token-4711", preview_method: "none" },
  });

async function sentWith(jobId: string): Promise<unknown> {
  const answer = await api.request("GET", `jobs/${jobId}/attempts`);
  const { attempts } = (await answer.json()) as { attempts: { promptId: string }[] };
  const { promptId } = attempts.at(-1)!;
  const history = (await (await fetch(`${stack.simulators[0]!.url}/history/${promptId}`)).json()) as Record<
    string,
    { prompt: unknown[] }
  >;
  return history[promptId]?.prompt[3];
}

test("a worker without the right key leaves the job to another one, blames no server, and what is sent is whole", async () => {
  const jobId = await submit(0.1);
  const worker = await stack.startWorker({ SECRETS_KEY: oldKey });
  await worker.line(/cannot decrypt the job's extraData/);
  await worker.stop();
  const waiting = await api.job(jobId);
  expect(waiting).toMatchObject({ status: "queued", attempt: 1 });
  // Both keys, as while they are changed.
  await stack.startWorker({ SECRETS_KEY: `${oldKey},${newKey}` });
  const ended = await api.untilEnded(jobId);
  expect([ended.status, ended.failure, ended.attempt]).toEqual(["completed", null, 2]);
  expect(await sentWith(jobId)).toMatchObject({ partner_token: "token-4711", preview_method: "none" });
}, 180_000);

test("a prompt that was submitted under another key is adopted, and its files have the names that clients know", async () => {
  const first = await stack.startWorker({ SECRETS_KEY: "" });
  const jobId = await api.submit({ type: "workflow", workflow: sleepWorkflow(4) });
  await api.until(jobId, ({ phase }) => phase === "executing");
  await first.stop();
  await stack.startWorker({ SECRETS_KEY: newKey });
  const ended = await api.untilEnded(jobId);
  expect([ended.status, ended.failure, ended.attempt]).toEqual(["completed", null, 1]);
  const [output] = await api.outputs(jobId);
  expect(output!.filename).toMatch(/^[a-z-]+_00001_\.png$/i);
}, 180_000);

test.each([["none"], [undefined]])(
  "servers are asked for previews as PREVIEW_METHOD=%s says",
  async (method) => {
    await stack.startWorker(method === undefined ? {} : { PREVIEW_METHOD: method });
    const jobId = await api.submit({ type: "workflow", workflow: sleepWorkflow(0) });
    expect(await api.untilEnded(jobId)).toMatchObject({ status: "completed" });
    expect(await sentWith(jobId)).toMatchObject({ preview_method: method ?? "latent2rgb" });
  },
  180_000,
);
