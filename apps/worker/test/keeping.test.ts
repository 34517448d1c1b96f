import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { Redis } from "ioredis";
import pg from "pg";
import { openDatabase } from "@genga/database";
import {
  ApiClient,
  sleepWorkflow,
  startStack,
  startTcpProxy,
  testServiceUrl,
  type Stack,
  type TestDatabase,
  launcher,
} from "@genga/testing";
import { createMigratedDatabase } from "./support/test-stack.ts";

let database: TestDatabase;
let stack: Stack;
let client: pg.Client;
let redis: Redis;
let api: ApiClient;

beforeAll(async () => {
  database = await createMigratedDatabase();
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  redis = new Redis(testServiceUrl("TEST_REDIS_URL"));
  // The first tests share a worker; the others start those that they need.
  stack = await startStack({ databaseUrl: database.url, env: { LEASE_MS: "1500" } });
  api = new ApiClient(stack.url);
}, 180_000);

afterAll(async () => {
  await stack.stop();
  await redis.quit();
  await client.end();
  await database.drop();
}, 180_000);

const prompt = "a lighthouse that nobody else knows of";

/** Every table of PostgreSQL and every key of Redis that tells of one of the texts. */
async function placesThatTellOf(texts: string[]): Promise<string[]> {
  const found: string[] = [];
  const { rows: tables } = await client.query<{ name: string }>(
    "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'",
  );
  for (const { name } of tables) {
    const { rows } = await client.query<{ row: string }>(`SELECT t::text AS row FROM "${name}" AS t`);
    found.push(...rows.filter(({ row }) => texts.some((text) => row.includes(text))).map(() => name));
  }
  for (const key of await redis.keys(`${stack.env["REDIS_PREFIX"]}:*`)) {
    const reads: Record<string, () => Promise<unknown>> = {
      string: () => redis.get(key),
      hash: () => redis.hgetall(key),
      list: () => redis.lrange(key, 0, -1),
      set: () => redis.smembers(key),
      zset: () => redis.zrange(key, 0, -1),
      stream: () => redis.xrange(key, "-", "+"),
    };
    const content = `${key} ${JSON.stringify(await reads[await redis.type(key)]?.())}`;
    if (texts.some((text) => content.includes(text))) found.push(`redis ${key}`);
  }
  return [...new Set(found)].sort();
}

async function jobFolders(): Promise<string[]> {
  return await readdir(join(stack.folder, "outputs", "jobs")).catch(() => []);
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(50);
}

async function isEmpty(table: string): Promise<boolean> {
  return (await client.query(`SELECT FROM ${table}`)).rowCount === 0;
}

async function stopWorkers(): Promise<void> {
  await Promise.all(stack.workers.splice(0).map((worker) => worker.stop()));
}

test("nothing tells of a removed job but its tombstone: not PostgreSQL, Redis, or the folder of outputs", async () => {
  const answer = await api.request("POST", "batches", {
    name: "the lighthouse batch",
    jobs: [{ type: "image", prompt, width: 256, height: 256, steps: 1 }],
  });
  const { id: batchId, jobs } = (await answer.json()) as { id: string; jobs: { id: string }[] };
  const id = jobs[0]!.id;
  expect(await api.untilEnded(id)).toMatchObject({ status: "completed" });
  const texts = [id, batchId, "lighthouse"];
  expect(await placesThatTellOf(texts)).toEqual(
    expect.arrayContaining(["batches", "job_events", "job_parameters", "jobs", "outputs", "workflows"]),
  );
  expect(await jobFolders()).toEqual([id]);
  expect((await api.request("DELETE", `jobs/${id}`)).status).toBe(204);
  expect(await jobFolders()).toEqual([]);
  await until(() => isEmpty("pending_removals"));
  await until(() => isEmpty("ended_job_changes"));
  expect(await placesThatTellOf(texts)).toEqual(["removed_batches", "removed_jobs"]);
  expect((await api.request("GET", `job/${id}`)).status).toBe(410);
}, 180_000);

test("a dry run tells what would go, and removes nothing", async () => {
  for (let index = 0; index < 3; index += 1)
    await api.untilEnded(await api.submit({ type: "image", prompt, width: 256, height: 256, steps: 1 }));
  await client.query("UPDATE jobs SET finished_at = finished_at - interval '5 minutes'");
  const { rows } = await client.query<{ mb: string }>(
    "SELECT to_char(sum(output_bytes) / 1e6, 'FM990.0') AS mb FROM (SELECT output_bytes FROM jobs ORDER BY finished_at LIMIT 2) oldest",
  );
  const run = async (...args: string[]): Promise<string> => {
    const command = [launcher, "apps/worker/src/sweeping/retention-main.ts", ...args];
    return (await promisify(execFile)(process.execPath, command, { env: { ...process.env, ...stack.env } }))
      .stdout;
  };
  const told = await run("--dry-run", "--jobs", "1");
  expect(told).toContain("Each tenant keeps at most 1 jobs.");
  expect(told).toContain(`default: 2 jobs would be removed, with outputs of ${rows[0]!.mb} MB`);
  expect(await run("--dry-run")).toContain("Nothing would be removed.");
  expect((await client.query("SELECT FROM jobs")).rowCount).toBe(3);
  expect(await run("--jobs", "1")).toContain("2 jobs were removed");
  expect((await client.query("SELECT FROM jobs")).rowCount).toBe(1);
}, 180_000);

test("a prompt's entry leaves its server's history once its end is recorded, and nobody else's does", async () => {
  const server = stack.simulators[0]!.url;
  const promptId = randomUUID();
  const before = (await stack.simulators[0]!.executions()).length;
  const graph = sleepWorkflow(0, { steps: 1 });
  await fetch(`${server}/prompt`, {
    method: "POST",
    body: JSON.stringify({ prompt: graph, prompt_id: promptId }),
  });
  const ids = [
    await api.submit({ type: "workflow", workflow: sleepWorkflow(0, { steps: 1 }) }),
    await api.submit({ type: "workflow", workflow: sleepWorkflow(0, { fails: true }) }),
    await api.submit({ type: "workflow", workflow: sleepWorkflow(60) }),
  ];
  await api.until(ids[2]!, (job) => job.phase === "executing");
  await api.cancel(ids[2]!);
  const ended = await Promise.all(ids.map((id) => api.untilEnded(id)));
  expect(ended.map(({ status }) => status)).toEqual(["completed", "failed", "cancelled"]);
  expect(await stack.simulators[0]!.executions()).toHaveLength(before + 4);
  const kept = async (): Promise<string[]> =>
    Object.keys((await (await fetch(`${server}/history`)).json()) as object);
  await until(async () => (await kept()).length === 1);
  expect(await kept()).toEqual([promptId]);
  await until(() => isEmpty("prompts_to_forget"));
  await fetch(`${server}/history`, { method: "POST", body: JSON.stringify({ delete: [promptId] }) });
}, 180_000);

test("a worker whose disk is nearly full begins nothing, says why everywhere, and goes on with room", async () => {
  await stopWorkers();
  const full = await stack.startWorker({ DISK_FREE_MB: "1000000000" });
  await full.line(/the disk is nearly full; no job is begun/);
  const id = await api.submit({ type: "workflow", workflow: sleepWorkflow(0, { steps: 1 }) });
  const look = async (path: string): Promise<Record<string, unknown>> =>
    (await (await api.request("GET", path)).json()) as Record<string, unknown>;
  const waits = { status: "queued", waitingFor: { code: "storage-full" } };
  await until(async () => JSON.stringify(await look(`job/${id}`)).includes('"storage-full"'));
  expect(await look(`job/${id}`)).toMatchObject(waits);
  expect(await look("queue")).toMatchObject({ counts: { queued: 1 }, workers: { alive: 1, withoutRoom: 1 } });
  const detail = expect.stringMatching(/1 alive; 1 begin nothing, since the disk for outputs is nearly full/);
  expect(await look("health")).toMatchObject({
    ...{ status: "degraded", parts: { workers: { status: "unavailable", detail } } },
  });
  await until(async () => JSON.stringify(await look("servers")).includes('"state":"storage-full"'));
  expect(await (await fetch(`${stack.url}/metrics`)).text()).toMatch(
    /genga_workers{state="full_disk",service="api"} 1/,
  );
  await stopWorkers();
  await stack.startWorker({ DISK_FREE_MB: "1" });
  expect(await api.untilEnded(id)).toMatchObject({ status: "completed" });
  // What is known of workers may be a second old.
  await until(async () =>
    JSON.stringify(await look("queue")).includes('"workers":{"alive":1,"withoutRoom":0'),
  );
}, 180_000);

test("a worker that is killed between an end and its prompt's entry leaves none: the server's next owner removes it", async () => {
  const server = stack.simulators[0]!.url;
  await until(() => isEmpty("prompts_to_forget"));
  await stopWorkers();
  const proxy = await startTcpProxy({ targetUrl: server });
  try {
    const killed = await stack.startWorker({ COMFYUI_URLS: proxy.url });
    const submitted = api.submit({ type: "workflow", workflow: sleepWorkflow(0, { steps: 1 }) });
    await new Promise<void>((resolve, reject) => {
      const stop = proxy.observe(({ direction, data, connection }) => {
        if (direction === "to-client" || !/POST (?:\/api)?\/history /.test(data.toString("latin1"))) return;
        connection.hold();
        const killAfterTheEnd = async (): Promise<void> => {
          // A worker that is held up for longer than its lease ends an attempt without an end of the job.
          if ((await api.job(await submitted)).status === "queued") {
            connection.release();
            return;
          }
          stop();
          killed.signal("SIGKILL");
          resolve();
        };
        killAfterTheEnd().catch(reject);
      });
    });
    const id = await submitted;
    await killed.exited;
    await proxy.cut();
    const history = async (): Promise<number> =>
      Object.keys((await (await fetch(`${server}/history`)).json()) as object).length;
    expect(await api.job(id)).toMatchObject({ status: "completed" });
    expect(await history()).toBe(1);
    expect(await isEmpty("prompts_to_forget")).toBe(false);
    const executions = await stack.simulators[0]!.executions();
    await proxy.restore();
    await stack.startWorker({ COMFYUI_URLS: proxy.url });
    await until(async () => (await history()) === 0);
    await until(() => isEmpty("prompts_to_forget"));
    expect(await stack.simulators[0]!.executions()).toEqual(executions);
  } finally {
    await proxy.close();
  }
}, 180_000);

test("retention removes the oldest beyond the limit, says so, and told it beforehand", async () => {
  await stopWorkers();
  const worker = await stack.startWorker({ RETENTION_JOBS: "2" });
  const ids: string[] = [];
  for (let index = 0; index < 5; index += 1) {
    ids.push(
      await api.submit({ type: "image", prompt: `${prompt} ${index}`, width: 256, height: 256, steps: 1 }),
    );
    await api.untilEnded(ids[index]!);
  }
  const { jobs } = (await (await api.request("GET", "jobs")).json()) as { jobs: { id: string }[] };
  // They ended within the last minute.
  expect(jobs.map(({ id }) => id)).toEqual(expect.arrayContaining(ids));
  await client.query("UPDATE jobs SET finished_at = finished_at - interval '5 minutes' WHERE id <> $1", [
    ids[4],
  ]);
  const oldest = { text: "SELECT FROM jobs WHERE id = ANY($1)", values: [ids.slice(0, 3)] };
  await until(async () => (await client.query(oldest)).rowCount === 0);
  await worker.line(/retention removed ended jobs/);
  await until(() => isEmpty("pending_removals"));
  const statuses = await Promise.all(ids.map(async (id) => (await api.request("GET", `job/${id}`)).status));
  expect(statuses).toEqual([410, 410, 410, 200, 200]);
  expect((await jobFolders()).sort()).toEqual(ids.slice(3).sort());
}, 180_000);

test("a crash after a removal's commit leaves no file: a worker finishes it", async () => {
  await stopWorkers();
  await stack.startWorker();
  const id = await api.submit({ type: "image", prompt, width: 256, height: 256, steps: 1 });
  await api.untilEnded(id);
  for (const service of [...stack.apis, ...stack.workers]) {
    service.signal("SIGKILL");
    await service.exited;
  }
  const process = openDatabase({ databaseUrl: database.url });
  await process.jobRequests.removeJob(id);
  await process.close();
  expect(await jobFolders()).toContain(id);
  await stack.startWorker();
  await until(() => isEmpty("pending_removals"));
  expect(await jobFolders()).not.toContain(id);
  expect(await placesThatTellOf([id])).toEqual(["removed_jobs"]);
}, 180_000);
