import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import {
  launcher,
  quickSimulator,
  sleepWorkflow,
  startSimulatorProcess,
  startTcpProxy,
  type ServiceProcess,
  askUntil,
} from "@genga/testing";
import pg from "pg";
import { startTestStack, type TestStack } from "./support/test-stack.ts";

let stack: TestStack;

beforeAll(async () => {
  stack = await startTestStack({ env: { LEASE_MS: "1500" } });
}, 180_000);

afterAll(async () => {
  await stack.stop();
}, 180_000);

const job = (seconds: number): object => ({ type: "workflow", workflow: sleepWorkflow(seconds) });

function ask(worker: ServiceProcess, method: string, path: string, headers = {}): Promise<Response> {
  return fetch(new URL(path, String(worker.details["health"])), { method, headers });
}

async function answerOf(worker: ServiceProcess, method: string, path: string): Promise<unknown> {
  const response = await ask(worker, method, path);
  return [response.status, await response.json()];
}

/** The command that a preStop hook runs; resolves with its exit code and its output. */
async function drainCommand(...args: string[]): Promise<{ code: unknown; text: string }> {
  return startDrainCommand(...args).ended;
}

/** `line` resolves when the command has printed such a line. */
function startDrainCommand(...args: string[]): {
  ended: Promise<{ code: unknown; text: string }>;
  line: (pattern: RegExp) => Promise<void>;
} {
  const child = spawn(process.execPath, [launcher, "apps/worker/src/draining/drain-main.ts", ...args]);
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (data: Buffer) => (text += data.toString()));
  return {
    ended: once(child, "close").then(([code]: unknown[]) => ({ code, text })),
    line: async (pattern) => {
      while (!pattern.test(text)) await once(child.stdout, "data");
    },
  };
}

async function withClient(work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ connectionString: stack.databaseUrl });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

async function serverState(): Promise<unknown> {
  const { servers } = (await (await stack.api.request("GET", "servers")).json()) as {
    servers: { state: string }[];
  };
  return servers[0]?.state;
}

test("SIGUSR2 stops new jobs, gives back what waits, lets prompts end, tells when the worker is empty, and a second one changes nothing", async () => {
  const worker = stack.workers[0]!;
  await worker.line(/server takes work/);
  // One executes, one waits on the server behind it, one waits in the queue.
  const first = await stack.api.submit(job(6));
  await stack.api.until(first, ({ phase }) => phase === "executing");
  const second = await stack.api.submit(job(0.2));
  await stack.api.until(second, ({ phase }) => phase === "submitted");
  const third = await stack.api.submit(job(0.1));
  worker.signal("SIGUSR2");
  await worker.line(/"draining: this worker takes no new jobs"/);
  expect(await answerOf(worker, "GET", "/health/ready")).toEqual([
    503,
    { status: "not-ready", reason: "draining" },
  ]);
  expect(await answerOf(worker, "GET", "/drain")).toMatchObject([202, { state: "draining" }]);
  const url = new URL(String(worker.details["health"])).origin;
  expect(await drainCommand("--url", url)).toEqual({
    code: 0,
    text: expect.stringMatching(/The worker is empty\.\n$/),
  });
  await worker.line(/"drained: this worker is empty, and may be ended"/);
  expect(await stack.simulators[0]!.executions()).toHaveLength(1);
  expect(await stack.api.untilEnded(first)).toMatchObject({ status: "completed", attempt: 1 });
  expect(await stack.api.job(second)).toMatchObject({ status: "queued", attempt: 1 });
  expect(await serverState()).toBe("leaving");
  const waiting = (await (await stack.api.request("GET", `job/${third}`)).json()) as { waitingFor: unknown };
  expect(waiting).toMatchObject({ status: "queued", waitingFor: { code: "no-server-online" } });
  expect(await answerOf(worker, "GET", "/health/ready")).toEqual([
    503,
    { status: "not-ready", reason: "drained" },
  ]);
  const metrics = await (await ask(worker, "GET", "/metrics")).text();
  for (const name of ["draining", "drained"])
    expect(metrics).toContain(`genga_worker_${name}{service="worker"} 1`);
  worker.signal("SIGUSR2");
  // The answer comes after the signal: both are of this process, and the signal is handled first.
  expect(await answerOf(worker, "GET", "/drain")).toMatchObject([200, { state: "drained" }]);
  expect((await drainCommand("--url", url, "--resume")).code).toBe(0);
  for (const id of [second, third])
    expect(await stack.api.untilEnded(id)).toMatchObject({ status: "completed" });
  expect(await answerOf(worker, "GET", "/health/ready")).toEqual([200, { status: "ready" }]);
}, 180_000);

test("only programs of the worker's machine can drain it, and a page in a browser is none", async () => {
  const worker = stack.workers[0]!;
  for (const headers of [
    { origin: "http://127.0.0.1" },
    { "sec-fetch-site": "cross-site" },
    { "x-forwarded-for": "203.0.113.9" },
  ])
    expect((await ask(worker, "POST", "/drain", headers)).status).toBe(403);
  for (const wait of ["abc", "-1", "3601", "1.5"])
    expect((await ask(worker, "GET", `/drain?wait=${wait}`)).status).toBe(400);
  expect((await ask(worker, "GET", "/resume")).status).toBe(404);
  expect(await answerOf(worker, "GET", "/drain")).toEqual([200, { state: "serving", jobsHeld: 0 }]);
  expect((await drainCommand("--url", "http://127.0.0.1:1")).code).toBe(1);
  expect((await drainCommand()).text).toContain("WORKER_PORT");
}, 180_000);

test("a worker is not empty while a prompt of its dead predecessor runs on its server", async () => {
  const id = await stack.api.submit(job(60));
  await stack.api.until(id, ({ phase }) => phase === "executing");
  const [dead] = stack.workers.splice(0, 1);
  dead!.signal("SIGKILL");
  await withClient((client) =>
    client.query(`UPDATE servers SET lease_expires_at = now() + interval '1 hour'`),
  );
  const worker = await stack.startWorker();
  const url = new URL(String(worker.details["health"])).origin;
  // It owns nothing yet, since the lease of the dead one has not run out.
  expect(await drainCommand("--url", url, "--timeout", "0")).toEqual({
    code: 1,
    text: expect.stringMatching(/0 jobs left\.\n.*given up after --timeout/),
  });
  expect(await answerOf(worker, "GET", "/health")).toMatchObject([
    503,
    { serversOwned: 0, drain: "draining" },
  ]);
  await withClient((client) => client.query(`UPDATE servers SET lease_expires_at = now()`));
  const proxy = await startTcpProxy({ targetUrl: url });
  await proxy.cut();
  const { ended: emptied, line } = startDrainCommand("--url", proxy.url, "--timeout", "60");
  await line(/No worker answers/);
  await proxy.restore();
  await worker.line(/job adopted/);
  await stack.api.cancel(id);
  expect(await stack.api.untilEnded(id)).toMatchObject({ status: "cancelled", attempt: 1 });
  expect((await emptied).code).toBe(0);
  await proxy.close();
  expect(worker.lines.filter((line) => line.includes("job adopted"))).toHaveLength(1);
  expect((await drainCommand("--url", url, "--resume")).code).toBe(0);
  expect(await stack.api.untilEnded(await stack.api.submit(job(0.1)))).toMatchObject({ status: "completed" });
}, 180_000);

test("a prompt that ended with the server of a drained worker is no crash of its job", async () => {
  const id = await stack.api.submit(job(60));
  await stack.api.until(id, ({ phase }) => phase === "executing");
  const [leaving] = stack.workers.splice(0, 1);
  leaving!.signal("SIGUSR2");
  await askUntil(serverState, (state) => state === "leaving");
  // The pod's time is over: its worker ends, and then its ComfyUI.
  expect(await leaving!.stop()).toBe(0);
  const [simulator] = stack.simulators.splice(0, 1);
  await simulator!.stop();
  const { port } = new URL(simulator!.url);
  stack.simulators.push(await startSimulatorProcess([...quickSimulator, "--port", port]));
  const worker = await stack.startWorker();
  await worker.line(/job adopted/);
  await stack.api.until(id, ({ attempt, phase }) => attempt === 2 && phase === "executing");
  await withClient(async (client) => {
    const { rows } = await client.query("SELECT crash_count AS crashes FROM jobs WHERE id = $1", [id]);
    expect(rows).toEqual([{ crashes: 0 }]);
  });
  await stack.api.cancel(id);
  expect(await stack.api.untilEnded(id)).toMatchObject({ status: "cancelled" });
}, 180_000);
