import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { startSimulatorProcess, type SimulatorProcess } from "@genga/testing";
import { startTestStack, type TestStack } from "./support/test-stack.ts";

// Servers with different models and nodes: one is added and one goes away while a batch runs.

const pace = ["--port", "0", "--load-ms", "0", "--step-ms", "30", "--save-ms", "0", "--history-lag-ms", "5"];
const server = (checkpoints: string, packs: string): Promise<SimulatorProcess> =>
  startSimulatorProcess([...pace, "--checkpoints", checkpoints, "--node-packs", packs]);

let stack: TestStack;
/** Has a checkpoint and all nodes; has another checkpoint and no nodes for videos; is added later. */
let all: SimulatorProcess, other: SimulatorProcess, added: SimulatorProcess;

beforeAll(async () => {
  stack = await startTestStack({ simulators: 0, workers: 0, env: { SERVER_GRACE_MS: "500" } });
  [all, other, added] = await Promise.all([
    server("counterfeit_v3.safetensors", "core,animatediff,video-helper-suite"),
    server("AOM3A1B.safetensors", "core"),
    server("counterfeit_v3.safetensors,anything_v5.safetensors", "core"),
  ]);
}, 180_000);

afterAll(async () => {
  await stack.stop();
  await Promise.all([all, other, added].map((simulator) => simulator.stop()));
}, 180_000);

const image = (model: string, seed: number): object => ({
  ...{ type: "image", prompt: "a harbour", width: 256, height: 256, steps: 12 },
  ...{ model: `${model}.safetensors`, seed },
});
const video = (seed: number): object => ({
  ...{ type: "video", prompt: "a harbour", width: 256, height: 256, steps: 4, durationSeconds: 1, fps: 8 },
  ...{ model: "counterfeit_v3.safetensors", seed },
});
const times = <Item>(count: number, make: (index: number) => Item): Item[] =>
  Array.from({ length: count }, (_, index) => make(index));

async function json(path: string): Promise<unknown> {
  return (await stack.api.request("GET", path)).json();
}

/** The reason why the job waits; `null` = it does not wait. */
async function reasonOf(id: string): Promise<{ code: string; message: string } | null> {
  return ((await json(`jobs/${id}`)) as { waitingFor: { code: string; message: string } | null }).waitingFor;
}

/** Where the job's attempts ran. */
async function serversOf(id: string): Promise<string[]> {
  const { attempts } = (await json(`jobs/${id}/attempts`)) as { attempts: { serverUrl: string }[] };
  return attempts.map(({ serverUrl }) => serverUrl);
}

async function assertRanOn(ids: string[], ...urls: string[]): Promise<Set<string>> {
  const used = new Set((await Promise.all(ids.map(serversOf))).flat());
  expect([...used].filter((url) => !urls.includes(url))).toEqual([]);
  return used;
}

test("every job runs where it can, and the others say what they wait for", async () => {
  const first = [all.url, other.url].join(",");
  await stack.startWorker({ COMFYUI_URLS: first });
  const { jobIds } = await stack.api.submitBatch([
    ...times(24, (seed) => image("counterfeit_v3", seed)),
    ...times(4, video),
  ]);
  const [pictures, videos] = [jobIds.slice(0, 24), jobIds.slice(24)];
  const { jobIds: ofOther } = await stack.api.submitBatch(times(24, (seed) => image("AOM3A1B", seed)));
  await stack.api.untilEnded(ofOther[0]!);
  other.signal("SIGKILL");

  // What only the new server can run is refused until that server is known.
  const asked = image("anything_v5", 1);
  expect((await stack.api.request("POST", "generate", asked)).status).toBe(422);
  await stack.startWorker({ COMFYUI_URLS: `${first},${added.url}` });
  let answer = await stack.api.request("POST", "batches", {
    jobs: times(6, (seed) => image("anything_v5", seed)),
  });
  while (answer.status === 422) {
    await sleep(50);
    answer = await stack.api.request("POST", "batches", {
      jobs: times(6, (seed) => image("anything_v5", seed)),
    });
  }
  const { jobs: ofAdded } = (await answer.json()) as { jobs: { id: string }[] };

  const last = ofOther.at(-1)!;
  let reason = await reasonOf(last);
  // Until the worker that owns it has seen that it is away, it is shown as starting.
  const unreachable = `No server that can run it takes work now: ${other.url} is unreachable`;
  while (reason?.message.includes(unreachable) !== true) {
    await sleep(50);
    reason = await reasonOf(last);
  }
  expect(reason.code).toBe("no-server-online");

  // Nobody waits for the server that is away.
  for (const id of [...jobIds, ...ofAdded.map((job) => job.id)])
    expect((await stack.api.untilEnded(id)).status).toBe("completed");
  await assertRanOn(pictures, all.url, added.url);
  await assertRanOn(videos, all.url);
  expect(
    await assertRanOn(
      ofAdded.map(({ id }) => id),
      added.url,
    ),
  ).toEqual(new Set([added.url]));
  expect(await reasonOf(last)).toMatchObject({ code: "no-server-online" });

  other = await startSimulatorProcess([...other.args]);
  for (const id of ofOther) expect((await stack.api.untilEnded(id)).status).toBe("completed");
  await assertRanOn(ofOther, other.url);
}, 240_000);
