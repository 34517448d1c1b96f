import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { startTestStack, type TestStack } from "./support/test-stack.ts";

// Two equal servers that differ in their labels only.

let stack: TestStack;

beforeAll(async () => {
  stack = await startTestStack({ simulators: 2, workers: 0 });
}, 180_000);

afterAll(async () => {
  await stack.stop();
}, 180_000);

const image = { type: "image", prompt: "a lantern", width: 256, height: 256, steps: 1 };

const executed = (): Promise<number[]> =>
  Promise.all(stack.simulators.map(async (simulator) => (await simulator.executions()).length));

async function labelsOfServers(): Promise<Map<string, string[]>> {
  await sleep(50);
  const answer = (await (await stack.api.request("GET", "servers")).json()) as {
    servers: { url: string; labels: string[] }[];
  };
  return new Map(answer.servers.map(({ url, labels }) => [url, labels]));
}

test("jobs run only where all labels are that they require, and follow when a configuration changes", async () => {
  const [plain, big] = stack.simulators.map(({ url }) => url);
  const atNight = await stack.api.submit({ ...image, requires: ["pool:night", "gpu:12gb"] });
  await stack.startWorker({ SERVER_LABELS: `${big}=gpu:24gb,pool:night` });

  const jobs = await Promise.all(
    Array.from({ length: 8 }, () => stack.api.submit({ ...image, requires: ["gpu:24gb", "gpu:24gb"] })),
  );
  for (const id of jobs) expect((await stack.api.untilEnded(id)).status).toBe("completed");
  expect(await executed()).toEqual([0, 8]);
  expect(await stack.api.job(jobs[0]!)).toMatchObject({ requires: ["gpu:24gb"] });
  expect(await stack.api.job(atNight)).toMatchObject({
    status: "queued",
    requires: ["gpu:12gb", "pool:night"],
  });

  await stack.startWorker({ SERVER_LABELS: `${plain}=gpu:12gb,pool:night; ${big}=gpu:24gb` });
  expect((await stack.api.untilEnded(atNight)).status).toBe("completed");
  expect(await executed()).toEqual([1, 8]);
  // The API reads servers once in a while.
  let known = await labelsOfServers();
  while (known.get(plain!)?.length === 0) known = await labelsOfServers();
  expect(known).toEqual(
    new Map([
      [plain, ["gpu:12gb", "pool:night"]],
      [big, ["gpu:24gb"]],
    ]),
  );
}, 180_000);

test.each([
  [{ requires: ["GPU"] }, "requires.0"],
  [{ requires: ["a:b:c"] }, "requires.0"],
  [{ requires: Array.from({ length: 11 }, (_, index) => `label-${index}`) }, "requires"],
  [{ requires: "gpu:24gb" }, "requires"],
])("%j is refused by its place", async (options, path) => {
  const response = await stack.api.request("POST", "generate", { ...image, ...options });
  expect(response.status).toBe(422);
  expect(await response.json()).toMatchObject({ problems: [{ path }] });
});
