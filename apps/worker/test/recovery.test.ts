import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import {
  ApiClient,
  sleepWorkflow,
  startSimulatorProcess,
  startStack,
  startTcpProxy,
  testServiceUrl,
  untilServerIsIdle,
  type Stack,
  type TestDatabase,
} from "@genga/testing";
import pg from "pg";
import { createMigratedDatabase } from "./support/test-stack.ts";

let database: TestDatabase;
let stack: Stack;

beforeEach(async () => {
  database = await createMigratedDatabase();
}, 60_000);

afterEach(async () => {
  await stack.stop();
  await database.drop();
}, 60_000);

/** Leases are short, so that take-overs are quick. */
const env = { LEASE_MS: "1500", SERVER_GRACE_MS: "3000" };
const workflow = (seconds: number): object => ({ type: "workflow", workflow: sleepWorkflow(seconds) });

describe("recovery", () => {
  test("adopts a running prompt and a waiting one after their worker was killed, without rendering again", async () => {
    stack = await startStack({ databaseUrl: database.url, env });
    const api = new ApiClient(stack.url);
    const [first] = stack.workers;
    const ids = [await api.submit(workflow(4)), await api.submit(workflow(0.2))];
    await api.until(ids[0]!, (job) => job.phase === "executing");
    await api.until(ids[1]!, (job) => job.phase === "submitted");
    first!.signal("SIGKILL");
    await first!.exited;
    await stack.startWorker();
    for (const id of ids) expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
    expect(await stack.simulators[0]!.executions()).toHaveLength(2);
  }, 60_000);

  test("collects what finished on the server while no worker lived", async () => {
    stack = await startStack({ databaseUrl: database.url, env });
    const api = new ApiClient(stack.url);
    const id = await api.submit(workflow(3));
    await api.until(id, (job) => job.phase === "executing");
    stack.workers[0]!.signal("SIGKILL");
    await stack.workers[0]!.exited;
    const { url } = stack.simulators[0]!;
    await untilServerIsIdle(url);
    await stack.startWorker();
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
    expect(await stack.simulators[0]!.executions()).toHaveLength(1);
  }, 60_000);

  test("a worker that is asked to stop exits with 0 and leaves its prompts to its successor", async () => {
    stack = await startStack({ databaseUrl: database.url });
    const api = new ApiClient(stack.url);
    const id = await api.submit(workflow(3));
    await api.until(id, (job) => job.phase === "executing");
    const [first] = stack.workers;
    expect(await first!.stop()).toBe(0);
    expect((await api.job(id)).status).toBe("processing");
    await stack.startWorker();
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
    expect(await stack.simulators[0]!.executions()).toHaveLength(1);
  }, 60_000);

  test("a paused worker whose lease was taken changes nothing when it wakes", async () => {
    stack = await startStack({ databaseUrl: database.url, env });
    const api = new ApiClient(stack.url);
    const id = await api.submit(workflow(5));
    await api.until(id, (job) => job.phase === "executing");
    const [paused] = stack.workers;
    paused!.signal("SIGSTOP");
    const successor = await stack.startWorker();
    await successor.line(/job adopted/);
    paused!.signal("SIGCONT");
    await paused!.line(/another worker (holds the job|owns the server) now/);
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
    expect(await stack.simulators[0]!.executions()).toHaveLength(1);
    const events = await api.request("GET", `jobs/${id}`);
    expect(events.status).toBe(200);
  }, 60_000);

  test("a worker that slept past its own lease takes its prompt up again, without rendering again", async () => {
    stack = await startStack({ databaseUrl: database.url, env });
    const api = new ApiClient(stack.url);
    const id = await api.submit(workflow(5));
    await api.until(id, (job) => job.phase === "executing");
    const [paused] = stack.workers;
    paused!.signal("SIGSTOP");
    await untilLeaseRanOut(id);
    paused!.signal("SIGCONT");
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
    expect(await stack.simulators[0]!.executions()).toHaveLength(1);
    expect(paused!.lines.filter((line) => line.includes('"level":"error"'))).toEqual([]);
    expect(paused!.lines.filter((line) => line.includes("attempt failed"))).toEqual([]);
  }, 60_000);

  test("two workers share two servers, each owned by one, and fill both before any second slot", async () => {
    stack = await startStack({ databaseUrl: database.url, env, simulators: 2, workers: 2 });
    const api = new ApiClient(stack.url);
    await untilServersAreShared(api);
    const ids = [await api.submit(workflow(1.5)), await api.submit(workflow(1.5))];
    await Promise.all(ids.map((id) => api.until(id, (job) => job.phase === "executing")));
    const servers = await Promise.all(ids.map(async (id) => (await api.job(id))["server"]));
    expect(new Set(servers.map((server) => JSON.stringify(server))).size).toBe(2);
    for (const id of ids) expect((await api.untilEnded(id)).status).toBe("completed");
  }, 60_000);

  test("a prompt of a removed job is taken back from a server that was away, once it is back", async () => {
    stack = await startStack({ databaseUrl: database.url, env, simulators: 2 });
    const api = new ApiClient(stack.url);
    // Longer than the test, so that nothing ends by itself, in steps of which each can be interrupted.
    const id = await api.submit({ type: "workflow", workflow: sleepWorkflow(200, { steps: 100 }) });
    await api.until(id, (job) => job.phase === "executing");
    const executions = await Promise.all(stack.simulators.map((simulator) => simulator.executions()));
    const away = stack.simulators[executions.findIndex(({ length }) => length > 0)]!;
    away.signal("SIGSTOP");
    await api.until(id, (job) => job.attempt === 2 && job.phase === "executing");
    await api.cancel(id);
    await api.untilEnded(id);
    expect((await api.request("DELETE", `jobs/${id}`)).status).toBe(204);
    away.signal("SIGCONT");
    await untilServerIsIdle(away.url);
  }, 120_000);

  test("a job whose server is gone for good is rendered on another one", async () => {
    stack = await startStack({ databaseUrl: database.url, env, simulators: 2 });
    const api = new ApiClient(stack.url);
    const id = await api.submit(workflow(2));
    await api.until(id, (job) => job.phase === "executing");
    const executing = (
      await Promise.all(stack.simulators.map((simulator) => simulator.executions()))
    ).findIndex((executions) => executions.length > 0);
    stack.simulators[executing]!.signal("SIGKILL");
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 2 });
  }, 60_000);

  test("a job that was accepted while Redis was away runs when Redis is back", async () => {
    const redis = await startTcpProxy({ targetUrl: testServiceUrl("TEST_REDIS_URL") });
    try {
      stack = await startStack({ databaseUrl: database.url, env: { ...env, REDIS_URL: redis.url } });
      const api = new ApiClient(stack.url);
      expect((await api.untilEnded(await api.submit(workflow(0)))).status).toBe("completed");
      await redis.cut();
      const id = await api.submit(workflow(0));
      expect((await api.job(id)).status).toBe("queued");
      await redis.restore();
      expect((await api.untilEnded(id)).status).toBe("completed");
    } finally {
      await redis.close();
    }
  }, 60_000);

  test("a worker that is asked to stop while Postgres is away exits with 0, and its prompt is adopted", async () => {
    const postgres = await startTcpProxy({ targetUrl: database.url });
    try {
      stack = await startStack({ databaseUrl: database.url, env, workers: 0 });
      const first = await stack.startWorker({ DATABASE_URL: postgres.url });
      const api = new ApiClient(stack.url);
      const id = await api.submit(workflow(3));
      await api.until(id, (job) => job.phase === "executing");
      await postgres.cut();
      expect(await first.stop()).toBe(0);
      await stack.startWorker();
      expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
      expect(await stack.simulators[0]!.executions()).toHaveLength(1);
    } finally {
      await postgres.close();
    }
  }, 60_000);

  test("a running job does not notice that Postgres was away", async () => {
    const postgres = await startTcpProxy({ targetUrl: database.url });
    try {
      stack = await startStack({ databaseUrl: postgres.url, env });
      const api = new ApiClient(stack.url);
      const id = await api.submit(workflow(3));
      await api.until(id, (job) => job.phase === "executing");
      await postgres.cut();
      const refused = await api.request("GET", `job/${id}`);
      expect(refused.status).toBe(503);
      expect(refused.headers.get("retry-after")).not.toBeNull();
      await untilServerIsIdle(stack.simulators[0]!.url);
      await postgres.restore();
      expect(await untilAnswered(api, id)).toMatchObject({ status: "completed", attempt: 1 });
      expect(await stack.simulators[0]!.executions()).toHaveLength(1);
    } finally {
      await postgres.close();
    }
  }, 60_000);

  test("jobs that only a draining server could run do not hold up the others", async () => {
    stack = await startStack({ databaseUrl: database.url, env, workers: 0 });
    const rare = await startSimulatorProcess(["--port", "0", "--checkpoints", "rare.safetensors"]);
    try {
      const api = new ApiClient(stack.url);
      const worker = await stack.startWorker({ COMFYUI_URLS: `${stack.simulators[0]!.url},${rare.url}` });
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
    } finally {
      await rare.stop();
    }
  }, 60_000);

  test("a server that was started again at its address is used again", async () => {
    stack = await startStack({ databaseUrl: database.url, env });
    const api = new ApiClient(stack.url);
    const [simulator] = stack.simulators;
    simulator!.signal("SIGKILL");
    await simulator!.exited;
    const id = await api.submit(workflow(0));
    stack.simulators[0] = await startSimulatorProcess([...simulator!.args]);
    expect((await api.untilEnded(id)).status).toBe("completed");
  }, 60_000);
});

/** Until the database's clock says that nobody holds the job. */
async function untilLeaseRanOut(jobId: string): Promise<void> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    for (let isOver = false; !isOver;) {
      const { rows } = await client.query<{ isOver: boolean }>(
        'SELECT lease_expires_at < now() AS "isOver" FROM jobs WHERE id = $1',
        [jobId],
      );
      isOver = rows[0]?.isOver === true;
    }
  } finally {
    await client.end();
  }
}

/** The database is back when the API says so; then the job is followed as ever. */
async function untilAnswered(api: ApiClient, id: string): Promise<unknown> {
  while ((await api.request("GET", `job/${id}`)).status === 503);
  return api.untilEnded(id);
}

async function untilServersAreShared(api: ApiClient): Promise<void> {
  for (;;) {
    const text = await (await api.request("GET", "servers")).text();
    const owners = [...text.matchAll(/"worker":"([^"]+)"/g)].map((match) => match[1]);
    const online = [...text.matchAll(/"state":"online"/g)].length;
    if (new Set(owners).size === 2 && online === 2) return;
  }
}

function takesWork(url: string): RegExp {
  return new RegExp(`"server":"${url.replaceAll(".", "\\.")}".*server takes work`);
}
