import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { migrate } from "@genga/database";
import {
  ApiClient,
  createTestDatabase,
  createTestNetwork,
  quickSimulator,
  sleepWorkflow,
  startSimulatorProcess,
  startStack,
  startTcpProxy,
  testServiceUrl,
  untilServerIsIdle,
  whyNoNetwork,
  type NetworkMachine,
  type ServiceProcess,
  type SimulatorProcess,
  type Stack,
  type TcpProxy,
  type TestDatabase,
  type TestNetwork,
} from "@genga/testing";
import { sumOf, watchFarm, type WatchedFarm } from "./watched-farm.ts";

// Two machines with two workers and three servers each. One is cut off in the middle of a batch: its packets vanish, so that
// nobody sees a connection end. PostgreSQL and Redis, which are on the other side, give its connections up meanwhile, as
// they do after minutes. docs/testing.md says how to let it take minutes.

const cutMs = Number(process.env["CUT_SECONDS"] ?? 0) * 1_000;
const cuts = Number(process.env["CUTS"] ?? 1);
const timeoutMs = 180_000 + cuts * (cutMs + 120_000);

const reason = await whyNoNetwork();

interface Machine {
  network: NetworkMachine;
  simulators: SimulatorProcess[];
  workers: ServiceProcess[];
  proxies: TcpProxy[];
}

interface ShownServer {
  url: string;
  state: string;
  worker: string | null;
}

let network: TestNetwork;
let database: TestDatabase;
let stack: Stack;
let api: ApiClient;
let here: Machine;
let away: Machine;
const watching: WatchedFarm[] = [];

async function startMachine(networkMachine: NetworkMachine): Promise<Machine> {
  const { address, within } = networkMachine;
  const proxies = await Promise.all(
    [database.url, testServiceUrl("TEST_REDIS_URL")].map((targetUrl) =>
      startTcpProxy({ targetUrl }, network.address),
    ),
  );
  const simulators = await Promise.all(
    Array.from({ length: 3 }, () =>
      startSimulatorProcess(["--host", address, "--port", "0", ...quickSimulator], within),
    ),
  );
  return { network: networkMachine, simulators, workers: [], proxies };
}

async function startWorkers({ network: { address, within }, workers, proxies }: Machine): Promise<void> {
  const [postgres, redis] = proxies;
  const env = { DATABASE_URL: postgres!.url, REDIS_URL: redis!.url, WORKER_HOST: address };
  workers.push(...(await Promise.all([1, 2].map(() => stack.startWorker(env, undefined, within)))));
}

const setUp = async (): Promise<void> => {
  [network, database] = await Promise.all([
    createTestNetwork(2),
    createTestDatabase({ migrate: (databaseUrl) => migrate({ databaseUrl }) }),
  ]);
  const [first, second] = network.machines;
  [here, away] = await Promise.all([startMachine(first!), startMachine(second!)]);
  const simulators = [...here.simulators, ...away.simulators];
  stack = await startStack({
    databaseUrl: database.url,
    ...{ simulators: 0, workers: 0 },
    env: {
      COMFYUI_URLS: simulators.map(({ url }) => url).join(","),
      LEASE_MS: "5000",
      SERVER_GRACE_MS: "5000",
    },
  });
  stack.simulators.push(...simulators);
  api = new ApiClient(stack.url);
  await Promise.all([startWorkers(here), startWorkers(away)]);
};

const tearDown = async (): Promise<void> => {
  await away.network.bringBack();
  await Promise.all(watching.map((watched) => watched.close()));
  await stack.stop();
  await Promise.all([...here.proxies, ...away.proxies].map((proxy) => proxy.close()));
  await database.drop();
};

async function servers(): Promise<ShownServer[]> {
  return ((await (await api.request("GET", "servers")).json()) as { servers: ShownServer[] }).servers;
}

/** Asks the API until the answer is as wanted. */
async function untilServers(isAsWanted: (shown: ShownServer[]) => boolean): Promise<ShownServer[]> {
  for (;;) {
    const shown = await servers();
    if (isAsWanted(shown)) return shown;
    await sleep(200);
  }
}

/** The fair share of four workers is two of six servers, so one may have none. One that was away begins on probation. */
const areAllAtWork = (shown: ShownServer[]): boolean =>
  shown.length === 6 &&
  shown.every(({ state }) => state === "online" || state === "probing") &&
  new Set(shown.map(({ worker }) => worker)).size >= 3;

async function submitBatch(size: number): Promise<{ id: string; jobIds: string[] }> {
  const jobs = Array.from({ length: size }, () => ({ type: "workflow", workflow: sleepWorkflow(1) }));
  return await api.submitBatch(jobs);
}

interface ShownAttempt {
  number: number;
  outcome: string | null;
  failure: { class: string; code: string } | null;
}

async function attemptsOf(jobId: string): Promise<ShownAttempt[]> {
  const answer = await (await api.request("GET", `jobs/${jobId}/attempts`)).json();
  return (answer as { attempts: ShownAttempt[] }).attempts;
}

/** The open page of the servers follows by itself. */
async function untilShown({ servers: page }: WatchedFarm, state: string, count: number): Promise<void> {
  if (page === null) return;
  const cards = page.getByRole("article", { name: /^Server / });
  const inState = cards.filter({ has: page.getByText(state, { exact: true }) });
  while ((await inState.count()) !== count || (await cards.count()) !== 6) await sleep(200);
}

async function metricsOf(url: string): Promise<string[]> {
  return (await (await fetch(new URL("/metrics", url))).text()).split("\n");
}

/** Cuts the machine off while its servers work, and lets the other side give its connections up. */
async function cutOff(): Promise<number> {
  for (const simulator of away.simulators) {
    const before = (await simulator.executions()).length;
    while ((await simulator.executions()).length === before) await sleep(20);
  }
  await away.network.cutOff();
  for (const proxy of away.proxies) {
    await proxy.cut();
    await proxy.restore();
  }
  return performance.now();
}

const suite = reason === null ? describe : describe.skip;

suite(`a machine that is cut off${reason === null ? "" : ` (skipped: ${reason})`}`, () => {
  beforeAll(setUp, 120_000);
  afterAll(tearDown, 60_000);
  // Also if something above failed.
  afterAll(() => network.remove());

  test(
    "costs no job: each completes once, the page and the metrics tell what happened, and it works again afterwards",
    async () => {
      await untilServers(areAllAtWork);
      const workersHere = new Set(here.workers.map(({ details }) => String(details["workerId"])));
      for (let cut = 0; cut < cuts; cut += 1) {
        // Before the batch begins, which does not wait for a browser.
        const watched = await watchFarm(stack.url);
        watching.push(watched);
        const { id: batchId, jobIds } = await submitBatch(36);
        const cutAt = await cutOff();
        const batch = await watched.openBatch(batchId);
        await watched.picture("1-cut-off");
        // The others take its servers over, see that they do not answer, and say so.
        const isLost = ({ url, state, worker }: ShownServer): boolean =>
          !away.simulators.some((simulator) => url === simulator.url) ||
          (state === "unreachable" && worker !== null && workersHere.has(worker));
        await untilServers((shown) => shown.every(isLost));
        const farm = await metricsOf(stack.url);
        expect(sumOf(farm, "genga_server_state", 'state="unreachable"')).toBe(3);
        expect(sumOf(farm, "genga_workers", 'state="working"')).toBe(2);
        await untilShown(watched, "unreachable", 3);
        await watched.picture("2-taken-over");
        // They also do all of its work.
        for (const id of jobIds) expect(await api.untilEnded(id)).toMatchObject({ status: "completed" });
        await sleep(Math.max(0, cutAt + cutMs - performance.now()));
        await away.network.bringBack();
        await untilServers(areAllAtWork);
        await expectEachOnce(jobIds);
        // Whoever had the page open was told, and so was whoever reads the metrics.
        await untilShown(watched, "unreachable", 0);
        await batch?.getByText("36 completed").waitFor();
        await watched.picture("3-back");
        await watched.close();
        expect(
          watched.samples.some(
            ({ serversUnreachable, workers }) => serversUnreachable === 3 && workers === 2,
          ),
        ).toBe(true);
        expect(watched.samples.at(-1)).toMatchObject({
          serversUnreachable: 0,
          workers: 4,
          queued: 0,
          processing: 0,
        });
      }
      // What it was executing when it was cut off is told in its attempts, and nothing of it is left behind.
      const figures = (
        await Promise.all(here.workers.map(({ details }) => metricsOf(String(details["health"]))))
      ).flat();
      expect(
        sumOf(figures, "genga_attempts_ended_total", 'outcome="requeue",error_class="server"'),
      ).toBeGreaterThan(0);
      // One of its two workers may have owned none.
      await Promise.race(away.workers.map((worker) => worker.line(/another worker owns the server now/)));
      await Promise.all(away.simulators.map(({ url }) => untilServerIsIdle(url)));
      const before = await Promise.all(away.simulators.map((simulator) => simulator.executions()));
      for (const id of (await submitBatch(24)).jobIds)
        expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
      for (const [index, simulator] of away.simulators.entries())
        expect((await simulator.executions()).length).toBeGreaterThan(before[index]!.length);
      const executions = (
        await Promise.all(stack.simulators.map((simulator) => simulator.executions()))
      ).flat();
      expect(new Set(executions).size).toBe(executions.length);
    },
    timeoutMs,
  );
});

/** One result of each job, by its last attempt; every earlier attempt was given up with its server. */
async function expectEachOnce(jobIds: readonly string[]): Promise<void> {
  let lost = 0;
  for (const id of jobIds) {
    const outputs = await api.outputs(id);
    expect(outputs).toHaveLength(1);
    expect((await api.download(outputs[0]!.id)).length).toBe(outputs[0]!.bytes);
    const attempts = await attemptsOf(id);
    expect(attempts.map(({ number }) => number)).toEqual(attempts.map((_, index) => index + 1));
    expect(attempts.at(-1)).toMatchObject({ outcome: "completed" });
    for (const { outcome, failure } of attempts.slice(0, -1)) {
      expect([outcome, failure?.class]).toEqual(["requeued", "server"]);
      lost += Number(failure?.code !== "taken-back");
    }
  }
  expect(lost).toBeGreaterThan(0);
}
