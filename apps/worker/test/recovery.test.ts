import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import {
  ApiClient,
  askUntil,
  sleepWorkflow,
  startSimulatorProcess,
  startStack,
  startTcpProxy,
  testServiceUrl,
  untilServerIsIdle,
  type ServiceProcess,
  type Stack,
  type TcpProxy,
  type TestDatabase,
} from "@genga/testing";
import pg from "pg";
import { createMigratedDatabase } from "./support/test-stack.ts";

let database: TestDatabase;
let postgres: TcpProxy;
let redis: TcpProxy;
let stack: Stack;
let api: ApiClient;
/** How many prompts each server had executed before the test. */
let executedBefore: number[];

/** Leases are short, so that take-overs are quick. */
const env = { LEASE_MS: "1500", SERVER_GRACE_MS: "3000" };
const workflow = (seconds: number): object => ({ type: "workflow", workflow: sleepWorkflow(seconds) });

beforeAll(async () => {
  database = await createMigratedDatabase();
  [postgres, redis] = await Promise.all([
    startTcpProxy({ targetUrl: database.url }),
    startTcpProxy({ targetUrl: testServiceUrl("TEST_REDIS_URL") }),
  ]);
  stack = await startStack({
    databaseUrl: postgres.url,
    env: { ...env, REDIS_URL: redis.url },
    ...{ simulators: 2, workers: 0 },
  });
  api = new ApiClient(stack.url);
}, 180_000);

beforeEach(async () => {
  executedBefore = await Promise.all(
    stack.simulators.map(async (simulator) => (await simulator.executions()).length),
  );
}, 180_000);

afterEach(async () => {
  // A test that fails may leave one stopped, which would not end.
  for (const simulator of stack.simulators) simulator.signal("SIGCONT");
  await Promise.all([postgres.restore(), redis.restore()]);
  await Promise.all(stack.workers.splice(0).map((worker) => worker.stop()));
}, 180_000);

afterAll(async () => {
  await stack.stop();
  await Promise.all([postgres.close(), redis.close()]);
  await database.drop();
}, 180_000);

/** Its only server is the first one. */
const startOnOne = (more: Record<string, string> = {}): Promise<ServiceProcess> =>
  stack.startWorker({ COMFYUI_URLS: stack.simulators[0]!.url, ...more });

/** Prompts that a server has begun in this test. */
async function executions(server = 0): Promise<string[]> {
  return (await stack.simulators[server]!.executions()).slice(executedBefore[server]);
}

/** The server that has begun the only prompt of this test. */
async function executingServer(): Promise<number> {
  return (await executions(0)).length > 0 ? 0 : 1;
}

async function kill(process: ServiceProcess): Promise<void> {
  process.signal("SIGKILL");
  await process.exited;
}

describe("recovery", () => {
  test("adopts a running prompt and a waiting one after their worker was killed, without rendering again", async () => {
    const first = await startOnOne();
    const ids = [await api.submit(workflow(4)), await api.submit(workflow(0.2))];
    await api.until(ids[0]!, (job) => job.phase === "executing");
    await api.until(ids[1]!, (job) => job.phase === "submitted");
    await kill(first);
    await startOnOne();
    for (const id of ids) expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
    expect(await executions()).toHaveLength(2);
  }, 180_000);

  test("collects what finished on the server while no worker lived", async () => {
    const first = await startOnOne();
    const id = await api.submit(workflow(3));
    await api.until(id, (job) => job.phase === "executing");
    await kill(first);
    await untilServerIsIdle(stack.simulators[0]!.url);
    await startOnOne();
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
    expect(await executions()).toHaveLength(1);
  }, 180_000);

  test("a paused worker whose lease was taken changes nothing when it wakes", async () => {
    const paused = await startOnOne();
    const id = await api.submit(workflow(5));
    await api.until(id, (job) => job.phase === "executing");
    paused.signal("SIGSTOP");
    const successor = await startOnOne();
    await successor.line(/job adopted/);
    paused.signal("SIGCONT");
    await paused.line(/another worker (holds the job|owns the server) now/);
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
    expect(await executions()).toHaveLength(1);
    expect((await api.request("GET", `jobs/${id}`)).status).toBe(200);
  }, 180_000);

  test("a worker that slept past its own lease takes its prompt up again, without rendering again", async () => {
    const paused = await startOnOne();
    const id = await api.submit(workflow(5));
    await api.until(id, (job) => job.phase === "executing");
    paused.signal("SIGSTOP");
    await untilLeaseRanOut(id);
    paused.signal("SIGCONT");
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
    expect(await executions()).toHaveLength(1);
    expect(paused.lines.filter((line) => line.includes('"level":"error"'))).toEqual([]);
    expect(paused.lines.filter((line) => line.includes("attempt failed"))).toEqual([]);
  }, 180_000);

  test("a job that was accepted while Redis was away runs when Redis is back", async () => {
    await startOnOne();
    expect((await api.untilEnded(await api.submit(workflow(0)))).status).toBe("completed");
    await redis.cut();
    const id = await api.submit(workflow(0));
    expect((await api.job(id)).status).toBe("queued");
    await redis.restore();
    expect((await api.untilEnded(id)).status).toBe("completed");
  }, 180_000);

  test("a worker that is asked to stop while Postgres is away exits with 0, and its prompt is adopted", async () => {
    const first = await startOnOne();
    const id = await api.submit(workflow(3));
    await api.until(id, (job) => job.phase === "executing");
    await postgres.cut();
    expect(await first.stop()).toBe(0);
    await postgres.restore();
    await startOnOne();
    expect(await untilAnswered(id)).toMatchObject({ status: "completed", attempt: 1 });
    expect(await executions()).toHaveLength(1);
  }, 180_000);

  test("a running job does not notice that Postgres was away", async () => {
    await startOnOne();
    const id = await api.submit(workflow(3));
    await api.until(id, (job) => job.phase === "executing");
    await postgres.cut();
    const refused = await api.request("GET", `job/${id}`);
    expect(refused.status).toBe(503);
    expect(refused.headers.get("retry-after")).not.toBeNull();
    await untilServerIsIdle(stack.simulators[0]!.url);
    await postgres.restore();
    expect(await untilAnswered(id)).toMatchObject({ status: "completed", attempt: 1 });
    expect(await executions()).toHaveLength(1);
  }, 180_000);

  test("a server that was started again at its address is used again", async () => {
    const worker = await startOnOne();
    const [simulator] = stack.simulators;
    await worker.line(takesWork(simulator!.url));
    await kill(simulator!);
    const id = await api.submit(workflow(0));
    stack.simulators[0] = await startSimulatorProcess([...simulator!.args]);
    expect((await api.untilEnded(id)).status).toBe("completed");
  }, 180_000);

  test("a worker that is asked to stop exits with 0 and leaves its prompts to its successor", async () => {
    // Its leases would run out much later, so they must be handed over.
    const lasting = { LEASE_MS: "12000" };
    const first = await startOnOne(lasting);
    const id = await api.submit(workflow(3));
    await api.until(id, (job) => job.phase === "executing");
    expect(await first.stop()).toBe(0);
    expect((await api.job(id)).status).toBe("processing");
    await startOnOne(lasting);
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
    expect(await executions()).toHaveLength(1);
  }, 180_000);
});

describe("recovery with two servers", () => {
  test("two workers share them, each owned by one, and fill both before any second slot", async () => {
    await Promise.all([stack.startWorker(), stack.startWorker()]);
    await untilServersAreShared();
    // Longer than the test, so that both execute at the same time, in steps of which each can be interrupted.
    const long = { type: "workflow", workflow: sleepWorkflow(200, { steps: 100 }) };
    const ids = [await api.submit(long), await api.submit(long)];
    await Promise.all(ids.map((id) => api.until(id, (job) => job.phase === "executing")));
    const servers = await Promise.all(ids.map(async (id) => (await api.job(id))["server"]));
    expect(new Set(servers.map((server) => JSON.stringify(server))).size).toBe(2);
    for (const id of ids) await api.cancel(id);
    for (const id of ids) expect((await api.untilEnded(id)).status).toBe("cancelled");
  }, 180_000);

  test("a prompt of a removed job is taken back from a server that was away, once it is back", async () => {
    await stack.startWorker();
    // Longer than the test, so that nothing ends by itself, in steps of which each can be interrupted.
    const id = await api.submit({ type: "workflow", workflow: sleepWorkflow(200, { steps: 100 }) });
    await api.until(id, (job) => job.phase === "executing");
    const away = stack.simulators[await executingServer()]!;
    away.signal("SIGSTOP");
    await api.until(id, (job) => job.attempt === 2 && job.phase === "executing");
    await api.cancel(id);
    await api.untilEnded(id);
    expect((await api.request("DELETE", `jobs/${id}`)).status).toBe(204);
    away.signal("SIGCONT");
    await untilServerIsIdle(away.url);
  }, 180_000);

  test("jobs that only a draining server could run do not hold up the others", async () => {
    const rare = await startSimulatorProcess(["--port", "0", "--checkpoints", "rare.safetensors"]);
    try {
      const worker = await startOnOne({ COMFYUI_URLS: `${stack.simulators[0]!.url},${rare.url}` });
      await Promise.all([stack.simulators[0]!, rare].map(({ url }) => worker.line(takesWork(url))));
      const { servers } = (await (await api.request("GET", "servers")).json()) as {
        servers: { id: string; url: string }[];
      };
      await api.request("POST", `servers/${servers.find(({ url }) => url === rare.url)!.id}/drain`);
      await worker.line(/server is draining/);
      const image = { type: "image", prompt: "a heron", width: 256, height: 256, steps: 1 };
      const blocked = await api.submitBatch(
        Array.from({ length: 12 }, () => ({ ...image, model: "rare.safetensors" })),
      );
      expect((await api.untilEnded(await api.submit(image))).status).toBe("completed");
      expect((await api.batch(blocked.id)).counts).toMatchObject({ queued: 12 });
      await api.request("POST", `batches/${blocked.id}/cancel`);
    } finally {
      await rare.stop();
    }
  }, 180_000);

  // The last one, since a server is gone for good.
  test("a job whose server is gone for good is rendered on another one", async () => {
    await stack.startWorker();
    const id = await api.submit(workflow(2));
    await api.until(id, (job) => job.phase === "executing");
    stack.simulators[await executingServer()]!.signal("SIGKILL");
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 2 });
  }, 180_000);
});

/** Until the database's clock says that nobody holds the job. */
async function untilLeaseRanOut(jobId: string): Promise<void> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    const statement = 'SELECT lease_expires_at < now() AS "isOver" FROM jobs WHERE id = $1';
    await askUntil(
      () => client.query<{ isOver: boolean }>(statement, [jobId]),
      ({ rows }) => rows[0]?.isOver === true,
    );
  } finally {
    await client.end();
  }
}

/** The database is back when the API says so; then the job is followed as ever. */
async function untilAnswered(id: string): Promise<unknown> {
  await askUntil(
    () => api.request("GET", `job/${id}`),
    ({ status }) => status !== 503,
  );
  return api.untilEnded(id);
}

async function untilServersAreShared(): Promise<void> {
  const areShared = (text: string): boolean => {
    const owners = [...text.matchAll(/"worker":"([^"]+)"/g)].map((match) => match[1]);
    const online = [...text.matchAll(/"state":"online"/g)].length;
    return new Set(owners).size === 2 && online === 2;
  };
  await askUntil(async () => (await api.request("GET", "servers")).text(), areShared);
}

function takesWork(url: string): RegExp {
  return new RegExp(`"server":"${url.replaceAll(".", "\\.")}".*server takes work`);
}
