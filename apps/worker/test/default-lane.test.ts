import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { startSimulatorProcess, type SimulatorProcess } from "@genga/testing";
import { startTestStack, type TestStack } from "./support/test-stack.ts";

// Two busy servers of two workers: a quick one, and a slow one that alone can run a certain job of the lane `default`.

const patienceMs = 10_000;
const server = (stepMs: number): Promise<SimulatorProcess> =>
  startSimulatorProcess([
    ...[
      "--port",
      "0",
      "--load-ms",
      "0",
      "--step-ms",
      String(stepMs),
      "--save-ms",
      "0",
      "--history-lag-ms",
      "5",
    ],
  ]);

let stack: TestStack;
let quick: SimulatorProcess, slow: SimulatorProcess;
let client: pg.Client;

beforeAll(async () => {
  stack = await startTestStack({
    ...{ simulators: 0, workers: 0 },
    env: { LANES_MAX: "1", LANE_PATIENCE_MS: String(patienceMs), SERVER_SLOTS: "1" },
  });
  [quick, slow] = await Promise.all([server(100), server(2_000)]);
  client = new pg.Client({ connectionString: stack.databaseUrl });
  await client.connect();
}, 180_000);

afterAll(async () => {
  await client.end();
  await stack.stop();
  await Promise.all([quick, slow].map((simulator) => simulator.stop()));
}, 180_000);

const image = { type: "image", prompt: "a lantern", width: 256, height: 256, steps: 2 };

test("a job that only a slow server can run gets its turn, although a quick one looks at it more often", async () => {
  const both = { COMFYUI_URLS: `${quick.url},${slow.url}`, SERVER_LABELS: `${slow.url}=special` };
  await stack.startWorker(both);
  await stack.startWorker(both);
  const first = await stack.api.submit(image);
  await stack.api.untilEnded(first);
  const { jobIds } = await stack.api.submitBatch(
    Array.from({ length: 250 }, (_, seed) => ({ ...image, seed })),
  );
  // A server leaves its model after eight loads at the earliest.
  await client.query("UPDATE lanes SET load_ms = 1");
  const special = await stack.api.submit({ ...image, requires: ["special"] });
  const { rows } = await client.query("SELECT lane FROM jobs WHERE id = $1", [special]);
  expect(rows).toEqual([{ lane: "default" }]);
  expect((await stack.api.untilEnded(special)).status).toBe("completed");
  expect((await stack.api.job(jobIds.at(-1)!)).status).toBe("queued");
}, 240_000);
