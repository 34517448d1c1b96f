import { afterAll, beforeAll, expect, test } from "@jest/globals";
import {
  type ApiClient,
  quickSimulator,
  sleepWorkflow,
  startSimulatorProcess,
  startTcpProxy,
  testServiceUrl,
  type SimulatorProcess,
} from "@genga/testing";
import pg from "pg";
import { startTestStack, type TestStack } from "./support/test-stack.ts";

// What operators ask of the whole farm, servers that leave the configuration, and passes of a worker that wait.

const leaseMs = 2_000;
const commonModel = "counterfeit_v3.safetensors";
const onlyOnTheSecond = "only-on-the-second.safetensors";
let stack: TestStack;
let api: ApiClient;
let second: SimulatorProcess;

beforeAll(async () => {
  stack = await startTestStack({
    env: { LEASE_MS: String(leaseMs), SERVER_RETIRE_MS: "0" },
  });
  second = await startSimulatorProcess([
    ...["--port", "0", "--checkpoints", `${onlyOnTheSecond},${commonModel}`, ...quickSimulator],
  ]);
  stack.simulators.push(second);
  ({ api } = stack);
  await api.untilEnded(await api.submit(image));
}, 180_000);

afterAll(async () => {
  await stack.stop();
}, 180_000);

const image = { type: "image", prompt: "x", width: 256, height: 256, steps: 1 };
const sleep = (seconds: number): object => ({ type: "workflow", workflow: sleepWorkflow(seconds) });

async function get<Answer>(path: string): Promise<Answer> {
  return (await (await api.request("GET", path)).json()) as Answer;
}

async function until<Answer>(path: string, isSo: (answer: Answer) => boolean): Promise<Answer> {
  for (;;) {
    const answer = await get<Answer>(path);
    if (isSo(answer)) return answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

interface Server {
  id: string;
  url: string;
  state: string;
  stateReason: string | null;
}

const serverAt = async (simulator: SimulatorProcess, state: string): Promise<Server> => {
  const url = simulator.url.replace(/\/$/, "");
  const isThere = (server: Server): boolean => server.url.startsWith(url) && server.state === state;
  const { servers } = await until<{ servers: Server[] }>("servers", (answer) => answer.servers.some(isThere));
  return servers.find(isThere)!;
};

test("a paused farm begins nothing new, lets what runs go on, and says so until it is resumed", async () => {
  const running = await api.submit(sleep(2));
  await api.until(running, (job) => job.phase === "executing");
  const paused = await api.request("POST", "farm/pause");
  expect(paused.status).toBe(202);
  const { pausedSince } = (await paused.json()) as { pausedSince: string };

  const waiting = await api.submit(image);
  expect(await get(`job/${waiting}`)).toMatchObject({
    status: "queued",
    waitingFor: {
      code: "farm-paused",
      message: `The farm is paused since ${pausedSince}: nothing begins until an operator resumes it.`,
    },
  });
  expect(await get("queue")).toMatchObject({ pausedSince });
  expect(await get("health")).toMatchObject({
    status: "degraded",
    parts: { workers: { status: "unavailable", detail: `1 alive; the farm is paused since ${pausedSince}` } },
  });
  expect((await api.request("GET", "health/ready")).status).toBe(200);
  expect(await api.untilEnded(running)).toMatchObject({ status: "completed" });
  expect(await get(`job/${waiting}`)).toMatchObject({ status: "queued", attempt: 0 });

  expect((await api.request("POST", "farm/resume")).status).toBe(202);
  expect(await api.untilEnded(waiting)).toMatchObject({ status: "completed" });
  expect(await get("queue")).toMatchObject({ pausedSince: null });
});

test("a paused lane begins nothing, says so, and other lanes go on until it is resumed", async () => {
  const lane = async (id: string): Promise<string> =>
    (await get<{ waitingFor: { lane: string } }>(`job/${id}`)).waitingFor.lane;
  await api.request("POST", "farm/pause");
  const [held, free] = [await api.submit(image), await api.submit(sleep(0))];
  const [heldLane, freeLane] = [await lane(held), await lane(free)];
  expect(heldLane).not.toBe(freeLane);
  const paused = await api.request("POST", `lanes/${heldLane}/pause`);
  expect([paused.status, await paused.json()]).toEqual([
    202,
    { name: heldLane, pausedSince: expect.any(String), pausedBy: expect.any(String) },
  ]);
  const waits = (name: string): unknown => expect.objectContaining({ lane: name, waiting: 1 });
  const { outlook } = await until<{ outlook: { lanes: { lane: string; pausedSince: string | null }[] } }>(
    "queue",
    (answer) => answer.outlook.lanes.length === 2,
  );
  expect(outlook.lanes).toEqual(expect.arrayContaining([waits(heldLane), waits(freeLane)]));
  expect(outlook.lanes.find(({ lane: name }) => name === heldLane)?.pausedSince).not.toBeNull();
  expect(outlook).toMatchObject({
    lanesCount: 2,
    tenants: [{ queued: 2, processing: 0 }],
    servers: [{ loadedModel: expect.any(String), next: null }],
  });
  await api.request("POST", "farm/resume");
  expect(await api.untilEnded(free)).toMatchObject({ status: "completed" });
  expect(await get(`job/${held}`)).toMatchObject({ status: "queued", waitingFor: { code: "lane-paused" } });

  expect((await api.request("POST", "lanes/no-such-lane/pause")).status).toBe(404);
  expect((await api.request("POST", "lanes/no-such-lane/resume")).status).toBe(404);
  expect((await api.request("POST", `lanes/${heldLane}/resume`)).status).toBe(202);
  expect(await api.untilEnded(held)).toMatchObject({ status: "completed" });
  const { events } = await get<{ events: { action: string; subject: string }[] }>("audit-events?limit=10");
  const ofLane = events.filter(({ subject }) => subject === heldLane).map(({ action }) => action);
  expect(ofLane).toEqual(["lane-resumed", "lane-paused"]);
});

test("a server that left every configuration is retired, can be removed, and comes back when it is named again", async () => {
  const both = { COMFYUI_URLS: stack.simulators.map(({ url }) => url).join(",") };
  const [first] = stack.workers;
  const wide = await stack.startWorker(both);
  const { id } = await serverAt(second, "online");
  const forTheSecond = { ...image, model: onlyOnTheSecond };
  await until<{ servers: { id: string; isKnown: boolean }[] }>("servers", ({ servers }) =>
    servers.some((server) => server.id === id && server.isKnown),
  );
  await api.untilEnded(await api.submit(forTheSecond));
  expect((await api.request("DELETE", `servers/${id}`)).status).toBe(409);
  expect(await wide.stop()).toBe(0);

  expect(await serverAt(second, "retired")).toMatchObject({
    id,
    stateReason: "No worker's configuration names this server any more.",
  });
  expect(await get("queue")).toMatchObject({ servers: { total: 1, retired: 1 } });
  // It has no say any more in what is accepted.
  const refused = await api.request("POST", "generate", forTheSecond);
  expect([refused.status, await refused.json()]).toMatchObject([422, { code: "unknown-model" }]);

  // With every worker dead, nobody knows what is configured.
  first!.signal("SIGKILL");
  await first!.exited;
  await until<{ workers: { alive: number } }>("queue", ({ workers }) => workers.alive === 0);
  expect(await serverAt(second, "unowned")).toMatchObject({ stateReason: "No worker is alive." });
  expect((await api.request("DELETE", `servers/${id}`)).status).toBe(409);

  const narrow = await stack.startWorker();
  await serverAt(second, "retired");
  expect((await api.request("DELETE", `servers/${id}`)).status).toBe(204);
  expect((await api.request("DELETE", `servers/${id}`)).status).toBe(404);
  expect((await get<{ servers: Server[] }>("servers")).servers.map((server) => server.id)).not.toContain(id);

  const again = await stack.startWorker(both);
  expect(await serverAt(second, "online")).toMatchObject({ id });
  expect(await again.stop()).toBe(0);
  const { workers } = await until<{ workers: { id: string; serversOwned: number }[] }>(
    "workers",
    (answer) => answer.workers.length === 1,
  );
  expect(workers).toMatchObject([{ serversNamed: [expect.any(String)], jobsHeld: 0 }]);
  await narrow.stop();
});

test("a worker whose Redis stands still adopts in time, since its sweep keeps nothing else waiting", async () => {
  const redis = await startTcpProxy({ targetUrl: testServiceUrl("TEST_REDIS_URL") });
  const doomed = await stack.startWorker({ REDIS_URL: redis.url });
  const heir = await stack.startWorker({ REDIS_URL: redis.url, WORKER_ID: "heir" });
  const id = await api.submit(sleep(30));
  await api.until(id, (job) => job.phase === "executing");
  const client = new pg.Client({ connectionString: stack.databaseUrl });
  await client.connect();
  const ownerOf = async (): Promise<string> => {
    const { rows } = await client.query<{ owner: string }>(
      "SELECT lease_owner AS owner FROM jobs WHERE id = $1",
      [id],
    );
    return rows[0]!.owner;
  };
  try {
    // Whoever of the two owns the server: the other one is the heir.
    const dying = (await ownerOf()) === "heir" ? heir : doomed;
    redis.freeze();
    dying.signal("SIGKILL");
    await dying.exited;
    const diedAt = performance.now();
    const dead = await ownerOf();
    while ((await ownerOf()) === dead) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(performance.now() - diedAt).toBeLessThan(leaseMs + 3_000);
  } finally {
    redis.thaw();
    await client.end();
    await api.request("POST", `jobs/${id}/cancel`);
    await redis.close();
  }
}, 180_000);
