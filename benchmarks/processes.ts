/**
 * What each further worker costs PostgreSQL and Redis, where every GPU has a worker of its own (deploy/kubernetes): connections,
 * statements, commands and processor time at rest, and the most connections while jobs run as fast as they can. One API,
 * then so many workers with a server that does nothing each, then the same with a quarter of them: the difference counts.
 *
 * npm run bench:processes [-- --workers 8 --jobs 400 --seconds 20]
 */
import { rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { startServiceProcess, type ServiceProcess } from "@genga/testing";
import { Redis } from "ioredis";
import pg from "pg";
import { z } from "zod";
import { readSpent } from "./support/budget.ts";
import { nullGraph } from "./support/null-graph.ts";
import { startNullServers } from "./support/null-servers.ts";
import { processorMsOf } from "./support/processor-time.ts";
import { residentMb } from "./support/resident-memory.ts";
import { type Row } from "./support/row.ts";
import { count, runBenchmark } from "./support/run-benchmark.ts";
import { makeScratchFolder } from "./support/scratch-folder.ts";
import { startCountingServices } from "./support/statement-services.ts";

const options = z.object({
  workers: count.default(8),
  /** For each worker, while connections are counted. */
  jobs: count.default(400),
  seconds: count.default(20),
});

/** Of everything together; what each worker adds follows from two of these. */
interface Measured {
  workers: number;
  connectionsAtRest: number;
  connectionsAtMost: number;
  redisClients: number;
  statements: number;
  commands: number;
  /** In percent of a core. */
  postgres: number;
  redis: number;
  worker: number;
  workerMb: number;
  /** By which the database grew, with its indexes. */
  storedKbPerJob: number;
}

async function run(asked: z.infer<typeof options>): Promise<Row[]> {
  const few = await measure({ ...asked, workers: Math.ceil(asked.workers / 4) });
  const all = await measure(asked);
  const bench = "processes";
  const note = `${few.workers} and ${all.workers} workers with a server each, one API`;
  const each = (figure: string, of: (measured: Measured) => number, unit: string): Row => ({
    ...{ bench, figure: `${figure}, each further worker`, unit, note },
    value: (of(all) - of(few)) / (all.workers - few.workers),
  });
  return [
    each("connections to PostgreSQL at rest", (one) => one.connectionsAtRest, ""),
    each("connections to PostgreSQL at most", (one) => one.connectionsAtMost, ""),
    each("connections to Redis", (one) => one.redisClients, ""),
    each("statements at rest", (one) => one.statements, "/s"),
    each("Redis commands at rest", (one) => one.commands, "/s"),
    each("Postgres at rest", (one) => one.postgres, "% of a core"),
    each("Redis at rest", (one) => one.redis, "% of a core"),
    { bench, figure: "a worker at rest", value: all.worker / all.workers, unit: "% of a core", note },
    { bench, figure: "a worker's memory after its jobs", value: all.workerMb, unit: "MB", note },
    { bench, figure: "PostgreSQL's growth for a job", value: all.storedKbPerJob, unit: "kB", note: stored },
  ];
}

async function measure({ workers, jobs, seconds }: z.infer<typeof options>): Promise<Measured> {
  const folder = await makeScratchFolder();
  const closings: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    const services = await startCountingServices(folder);
    closings.unshift(() => services.stop());
    const nulls = await startNullServers(workers);
    closings.unshift(() => nulls.stop());
    const client = new pg.Client({ connectionString: services.databaseUrl, application_name: observer });
    await client.connect();
    closings.unshift(() => client.end());
    const redis = new Redis(services.redisUrl);
    closings.unshift(() => redis.quit());
    const env = {
      ...{ DATABASE_URL: services.databaseUrl, REDIS_URL: services.redisUrl, DATA_DIR: folder },
      ...{ PORT: "0", LOG_LEVEL: "warn" },
    };
    const start = async (app: string, more: Record<string, string> = {}): Promise<ServiceProcess> => {
      const started = await startServiceProcess({
        entry: `apps/${app}/src/main.ts`,
        env: { ...env, ...more },
      });
      closings.unshift(() => started.stop());
      return started;
    };
    const api = await start("api");
    const started: ServiceProcess[] = [];
    for (const url of nulls.urls) started.push(await start("worker", { COMFYUI_URLS: url }));
    const ran = await runJobs(client, String(api.details["url"]), workers * jobs);
    const workerMb = Math.max(...(await Promise.all(started.map(({ pid }) => residentMb(pid)))));
    // Connections that nobody uses are closed after 10 s.
    await sleep(15_000);
    const atRest = await measureRest({ client, redis, seconds, pids: started.map(({ pid }) => pid) });
    return { workers, workerMb, ...ran, ...atRest };
  } finally {
    for (const close of closings) await close();
  }
}

/** The most connections that were seen while the jobs ran, and how much the database grew. */
async function runJobs(
  client: pg.Client,
  apiUrl: string,
  jobs: number,
): Promise<Pick<Measured, "connectionsAtMost" | "storedKbPerJob">> {
  const before = await databaseBytes(client);
  const response = await fetch(`${apiUrl}/api/anime/batches`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      jobs: Array.from({ length: jobs }, (_, index) => ({
        type: "workflow",
        workflow: nullGraph("processes", index),
      })),
    }),
  });
  if (response.status !== 202) throw new Error(`${response.status} ${await response.text()}`);
  await response.body?.cancel();
  for (let most = 0; ;) {
    const { rows } = await client.query(
      `SELECT (SELECT count(*) FROM jobs WHERE status = 'completed') AS ended, ${connections}`,
    );
    const { ended, open } = z.object({ ended: z.coerce.number(), open: z.coerce.number() }).parse(rows[0]);
    most = Math.max(most, open);
    if (ended < jobs) {
      await sleep(50);
      continue;
    }
    // What the jobs left, without rows of earlier states that only wait to be reused.
    await client.query("VACUUM FULL jobs, job_events, job_attempts, outputs, workflows");
    return {
      connectionsAtMost: most,
      storedKbPerJob: ((await databaseBytes(client)) - before) / 1_000 / jobs,
    };
  }
}

async function databaseBytes(client: pg.Client): Promise<number> {
  const { rows } = await client.query("SELECT pg_database_size(current_database()) AS bytes");
  return z.object({ bytes: z.coerce.number() }).parse(rows[0]).bytes;
}

async function measureRest(asked: {
  client: pg.Client;
  redis: Redis;
  seconds: number;
  pids: number[];
}): Promise<Omit<Measured, "workers" | "connectionsAtMost" | "storedKbPerJob" | "workerMb">> {
  const { client, redis, seconds, pids } = asked;
  const parts = new Map(pids.map((pid) => [pid, "worker"]));
  parts.set(process.pid, "benchmark");
  const programs = ["postgres", "valkey-server", "redis-server"];
  const [before, spent, at] = [
    await processorMsOf(parts, programs),
    await readSpent(client, redis),
    performance.now(),
  ];
  await sleep(seconds * 1_000);
  const wallSeconds = (performance.now() - at) / 1_000;
  const [after, spentAfter] = [await processorMsOf(parts, programs), await readSpent(client, redis)];
  const share = (part: string): number =>
    ((after.get(part) ?? 0) - (before.get(part) ?? 0)) / wallSeconds / 10;
  const { rows } = await client.query(`SELECT ${connections}`);
  const { open } = z.object({ open: z.coerce.number() }).parse(rows[0]);
  const clients = /^connected_clients:(\d+)/m.exec(await redis.info("clients"))?.[1];
  return {
    connectionsAtRest: open,
    redisClients: Number(clients),
    statements: (spentAfter.statements - spent.statements) / wallSeconds,
    commands: (spentAfter.redisCommands - spent.redisCommands) / wallSeconds,
    postgres: share("postgres"),
    redis: share("valkey-server") + share("redis-server"),
    worker: share("worker"),
  };
}

const stored = "jobs of two nodes and one picture, with their events and attempts; outputs aside";
const observer = "bench-observer";
const connections = `(SELECT count(*) FROM pg_stat_activity
  WHERE backend_type = 'client backend' AND application_name <> '${observer}') AS open`;

await runBenchmark(options, run);
