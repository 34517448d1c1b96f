import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import {
  ApiClient,
  sleepWorkflow,
  startStack,
  startTcpProxy,
  untilServerIsIdle,
  type JobAnswer,
  type ServiceProcess,
  type Stack,
  type TcpProxy,
  type TestDatabase,
} from "@genga/testing";
import pg from "pg";
import { createMigratedDatabase } from "./support/test-stack.ts";

// A worker tells the server first, and the database afterwards, that it ends a prompt. Here the database is away in
// between, and then the worker is killed: the server and the row are all that its successor knows.

let database: TestDatabase;
let postgres: TcpProxy;
let comfyui: TcpProxy;
let stack: Stack;
let api: ApiClient;

beforeAll(async () => {
  database = await createMigratedDatabase();
  stack = await startStack({
    databaseUrl: database.url,
    env: { LEASE_MS: "1500" },
    workers: 0,
  });
  postgres = await startTcpProxy({ targetUrl: database.url });
  comfyui = await startTcpProxy({ targetUrl: stack.simulators[0]!.url });
  api = new ApiClient(stack.url);
}, 180_000);

afterEach(async () => {
  await Promise.all(stack.workers.splice(0).map((worker) => worker.stop()));
  await postgres.restore();
}, 180_000);

afterAll(async () => {
  await stack.stop();
  await Promise.all([postgres.close(), comfyui.close()]);
  await database.drop();
}, 180_000);

/** A worker that will lose its database; its server takes work already. */
async function startFirst(env: Record<string, string> = {}): Promise<ServiceProcess> {
  const worker = await stack.startWorker({ DATABASE_URL: postgres.url, COMFYUI_URLS: comfyui.url, ...env });
  await worker.line(/server takes work/);
  return worker;
}

/** Its successor reaches the same server, by the same address, and the database. */
const startSuccessor = (): Promise<ServiceProcess> => stack.startWorker({ COMFYUI_URLS: comfyui.url });

/** In steps, after each of which it can be interrupted. */
const submit = (seconds: number, options: object = {}): Promise<string> =>
  api.submit({ type: "workflow", workflow: sleepWorkflow(seconds, { steps: seconds * 10 }), ...options });

const isExecuting = ({ phase }: { phase: string | null }): boolean => phase === "executing";

/** The worker's database goes away just before the worker sends such a request to the server. */
function cutAt(request: RegExp): Promise<void> {
  return new Promise((resolve) => {
    const stop = comfyui.observe(({ direction, data }) => {
      if (direction === "to-client" || !request.test(data.toString("latin1"))) return;
      stop();
      void postgres.cut().then(resolve);
    });
  });
}

/** With the database cut here, nothing about the prompt is recorded. */
const posting = /^POST \/prompt /;
/** Not the question whether the server knows this request, which names no prompt. */
const cancelling = /^POST \/api\/jobs\/(?!0{8}-)\S+\/cancel /;

/** The prompt has ended on its server as the worker wished, and the database does not know it. */
async function killUnrecorded(worker: ServiceProcess): Promise<void> {
  await worker.line(/the end of the attempt could not be recorded yet/);
  await kill(worker);
}

async function kill(worker: ServiceProcess): Promise<void> {
  worker.signal("SIGKILL");
  await worker.exited;
}

async function failuresOf(id: string): Promise<(string | undefined)[]> {
  const { attempts } = (await (await api.request("GET", `jobs/${id}/attempts`)).json()) as {
    attempts: { failure: { code: string } | null }[];
  };
  return attempts.map(({ failure }) => failure?.code);
}

/** Live progress does not pass the database. */
async function untilProgressIsTold(id: string): Promise<void> {
  for await (const { event, data } of api.events(id)) {
    if (event === "progress" && (data as JobAnswer).progress.percent > 0) return;
  }
}

/** By the database's clock, in one statement that waits there. */
async function untilTimeIsOver(jobId: string, since: "expires_at" | "started_at", ms = 0): Promise<void> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query(
    `SELECT pg_sleep(extract(epoch FROM ${since} - clock_timestamp()) + $2::float8 / 1000) FROM jobs WHERE id = $1`,
    [jobId, ms],
  );
  await client.end();
}

describe("the successor of a worker that ended a prompt and could not record it", () => {
  test("times a job out whose execution had not been recorded either when its time was over", async () => {
    const first = await startFirst();
    const cut = cutAt(posting);
    const id = await submit(60, { timeoutMs: 1_000 });
    await cut;
    await killUnrecorded(first);
    await startSuccessor();
    expect(await api.untilEnded(id)).toMatchObject({
      ...{ status: "timeout", attempt: 1, failure: { code: "deadline-passed" } },
    });
  });

  test("times a job out whose execution had been recorded", async () => {
    const first = await startFirst();
    const id = await submit(60, { timeoutMs: 3_000 });
    await api.until(id, isExecuting);
    await postgres.cut();
    await killUnrecorded(first);
    await startSuccessor();
    expect(await api.untilEnded(id)).toMatchObject({
      ...{ status: "timeout", attempt: 1, failure: { code: "deadline-passed" } },
    });
  });

  test("times a job out that was taken back at its queue deadline", async () => {
    const first = await startFirst();
    const running = await submit(60);
    await api.until(running, isExecuting);
    const expiresAt = new Date(Date.now() + 5_000).toISOString();
    const id = await submit(60, { expiresAt });
    await api.until(id, ({ phase }) => phase === "submitted");
    await postgres.cut();
    await killUnrecorded(first);
    await startSuccessor();
    expect(await api.untilEnded(id)).toMatchObject({
      ...{ status: "timeout", attempt: 1, failure: { code: "expired" } },
    });
    await api.cancel(running);
    expect(await api.untilEnded(running)).toMatchObject({ status: "cancelled", attempt: 1 });
  });

  test("ends a job as cancelled", async () => {
    const first = await startFirst();
    const cut = cutAt(posting);
    const id = await submit(60);
    await cut;
    expect(await api.cancel(id)).toBe(202);
    await killUnrecorded(first);
    await startSuccessor();
    expect(await api.untilEnded(id)).toMatchObject({ status: "cancelled", attempt: 1, failure: null });
  });

  test("tries a job again that had stalled", async () => {
    const first = await startFirst({ STALL_MS: "1000" });
    const cut = cutAt(cancelling);
    const id = await api.submit({ type: "workflow", workflow: sleepWorkflow(3, { steps: 2 }) });
    await cut;
    await killUnrecorded(first);
    await startSuccessor();
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 2 });
    expect(await failuresOf(id)).toEqual(["prompt-interrupted", undefined]);
  });
});

describe("the successor of a worker that died", () => {
  test("does not call it a timeout that somebody else interrupted the prompt in time", async () => {
    const first = await startFirst();
    const id = await submit(3, { timeoutMs: 4_000 });
    await api.until(id, isExecuting);
    await kill(first);
    await fetch(`${comfyui.url}interrupt`, { method: "POST" });
    await untilServerIsIdle(stack.simulators[0]!.url);
    await untilTimeIsOver(id, "started_at", 4_200);
    await startSuccessor();
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 2 });
    expect(await failuresOf(id)).toEqual(["prompt-interrupted", undefined]);
  });

  test("does not call it a timeout that the server forgot the prompt in time", async () => {
    const first = await startFirst();
    const id = await submit(3, { timeoutMs: 4_000 });
    await api.until(id, isExecuting);
    await kill(first);
    await stack.simulators[0]!.fault({ kind: "restart", downMs: 100 });
    await untilTimeIsOver(id, "started_at", 4_200);
    await startSuccessor();
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 2 });
    expect(await failuresOf(id)).toEqual(["prompt-lost", undefined]);
  });

  test("lets a prompt go on that began before its queue deadline, also if that was not recorded", async () => {
    const first = await startFirst();
    const cut = cutAt(posting);
    const expiresAt = new Date(Date.now() + 6_000).toISOString();
    const id = await submit(15, { expiresAt });
    await cut;
    await untilProgressIsTold(id);
    await kill(first);
    await untilTimeIsOver(id, "expires_at");
    await startSuccessor();
    expect(await api.untilEnded(id)).toMatchObject({ status: "completed", attempt: 1 });
  });
});
