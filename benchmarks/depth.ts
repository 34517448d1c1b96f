/**
 * Whether anything costs more because more jobs wait: the same requests and passes on two databases, one with 1,000 and one
 * with 100,000 waiting jobs of several tenants, lanes and bands, in turns. Prints the medians and their ratio, and the
 * plans of what takes more than 1.5 times as long.
 *
 * npm run bench:depth [-- --few 1000 --many 100000 --rounds 40 --stored 0]; with `--stored 1000000` the larger database
 * also has a million ended jobs
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { migrate, openDatabase, type Database } from "@genga/database";
import { startEmbeddedPostgres, startEmbeddedRedis } from "@genga/embedded";
import { createTicketQueue, type BullTicketQueue } from "@genga/queue";
import { ApiClient, buildJob, startStack, type Stack } from "@genga/testing";
import pg from "pg";
import { v7 as uuidv7 } from "uuid";
import { z } from "zod";
import { announceAll, seed, type Subjects } from "./depth-seed.ts";
import { median } from "./support/median.ts";
import { isMet, type Row } from "./support/row.ts";
import { count, runBenchmark } from "./support/run-benchmark.ts";
import { makeScratchFolder } from "./support/scratch-folder.ts";

const optionsSchema = z.object({
  few: count.default(1_000),
  many: count.default(100_000),
  stored: count.default(0),
  rounds: count.default(40),
});
const warmUpRounds = 5;
const ratioMax = 1.5;
const dayMs = 86_400_000;
const key = "depth-of-the-queue-benchmark-key";
const noLimits = { jobsQueuedMax: null, jobsRunningMax: null };

interface Depth {
  waiting: number;
  database: Database;
  client: pg.Client;
  tickets: BullTicketQueue;
  stack: Stack;
  api: ApiClient;
  subjects: Subjects;
}

/** A request or a pass whose cost must not follow the depth. */
interface Measured {
  name: string;
  /** Runs before each measurement, and is not measured. */
  before?: (on: Depth) => Promise<unknown>;
  run: (on: Depth) => Promise<unknown>;
}

const get = (name: string, path: (subjects: Subjects) => string): Measured => ({
  name,
  run: async ({ api, subjects }) => await textOf(await api.request("GET", path(subjects))),
});

async function textOf(response: Response): Promise<string> {
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return await response.text();
}

const measures: Measured[] = [
  get("GET /queue", () => "queue"),
  {
    name: "GET /metrics",
    run: async ({ stack }) => {
      const headers = { authorization: `Bearer ${key}` };
      const text = await textOf(await fetch(`${stack.url}/metrics`, { headers }));
      if (!/genga_jobs\{[^}]*status="queued"[^}]*\} [1-9]/.test(text))
        throw new Error("The metrics do not count queued jobs.");
    },
  },
  get("GET /batches/{id}", ({ batchId }) => `batches/${batchId}`),
  get("GET /batches", () => "batches"),
  get("GET /jobs/{id}, the next of its lane", ({ firstId }) => `jobs/${firstId}`),
  get("GET /jobs/{id}, the last of its lane", ({ lastId }) => `jobs/${lastId}`),
  get("GET /jobs, a page", () => "jobs?limit=50"),
  get("GET /jobs?status=queued, a page", () => "jobs?status=queued&limit=50"),
  get("GET /jobs?status=processing, a page", () => "jobs?status=processing&limit=50"),
  get("GET /jobs?text=, a page", () => "jobs?text=number%20777&limit=50"),
  {
    name: "accepting a job",
    run: ({ database, subjects: { tenantId } }) =>
      database.jobRequests.insertJobs({ tenantId, batch: null, jobs: [buildJob()] }),
  },
  {
    name: "sweeper: a pass without work",
    run: async ({ database: { jobRuns, jobAnnouncer } }) => {
      await jobRuns.requeueAbandoned(60_000);
      await jobRuns.expireQueued(1_000);
      await jobRuns.passOnEnds(50);
      await jobAnnouncer.listUnannounced(1_000);
      await jobAnnouncer.nextRepricing(1_000);
    },
  },
  { name: "sweeper: idle ranks", run: ({ database }) => database.jobAnnouncer.forgetIdleRanks() },
  { name: "sweeper: bases of ranks", run: ({ database }) => database.jobAnnouncer.moveBases() },
  { name: "sweeper: ageing", run: ({ database }) => database.jobAnnouncer.ageJobs(dayMs, 1_000) },
  {
    name: "sweeper: audit of 500 tickets",
    run: async ({ database, tickets }) => {
      await tickets.findMissing(await database.jobAnnouncer.listAnnounced(null, 500));
    },
  },
  {
    name: "announcing 10 jobs",
    before: async ({ client }) => {
      await client.query(
        `UPDATE jobs SET enqueued_at = NULL, ticket_number = ticket_number + 1 WHERE id IN (
           SELECT id FROM jobs WHERE status = 'queued' AND enqueued_at IS NOT NULL ORDER BY id DESC LIMIT 10)`,
      );
    },
    run: ({ database, tickets }) => announceAll(database, tickets),
  },
  {
    name: "reading 10 candidates",
    run: async ({ database }) => {
      const announced = await database.jobAnnouncer.listAnnounced(null, 10);
      const found = await database.jobRuns.readCandidates(announced);
      if (found.length !== 10) throw new Error("Candidates are missing.");
    },
  },
  {
    name: "claiming a job, and its end",
    run: async ({ database, subjects: { serverId } }) => {
      const [job] = await database.jobAnnouncer.listAnnounced(null, 1);
      if (job === undefined) throw new Error("No job has a ticket.");
      const { jobId, attempt, ticketNumber } = job;
      const claim = { jobId, attempt, ticketNumber, serverId, promptId: uuidv7() };
      const claims = [{ ...claim, workerId: "depth", clientId: "depth" }];
      const [lease] = await database.jobRuns.claimJobs(claims, 60_000);
      if (lease === undefined) throw new Error("The job was not claimed.");
      await database.jobRuns.endAttempt(lease, { kind: "completed", outputs: [] });
    },
  },
  { name: "keeper: folding counts", run: ({ database }) => database.keeping.foldCounts(5_000) },
];

async function timeOf(row: Measured, on: Depth): Promise<number> {
  await row.before?.(on);
  const begunAt = performance.now();
  await row.run(on);
  return performance.now() - begunAt;
}

/** In turns, so that other work on the machine disturbs both alike. */
async function compare(row: Measured, few: Depth, many: Depth, rounds: number): Promise<Row> {
  const [ofFew, ofMany]: [number[], number[]] = [[], []];
  for (let round = 0; round < warmUpRounds + rounds; round += 1) {
    const times = [await timeOf(row, few), await timeOf(row, many)];
    if (round < warmUpRounds) continue;
    ofFew.push(times[0] ?? NaN);
    ofMany.push(times[1] ?? NaN);
  }
  const [small, large] = [median(ofFew), median(ofMany)];
  const ratio = large / small;
  console.log(
    `${row.name.padEnd(40)} ${small.toFixed(1).padStart(8)} ms ${large.toFixed(1).padStart(8)} ms  × ${ratio.toFixed(2)}`,
  );
  return {
    ...{ bench: "soak: depth", figure: row.name, value: ratio, unit: "×", reach: { atMost: ratioMax } },
    note: `${small.toFixed(1)} ms, then ${large.toFixed(1)} ms`,
  };
}

type Closing = () => Promise<unknown>;

/** Adds to `closings` what ends everything that it opens. */
async function open(
  databaseUrl: string,
  redisUrl: string,
  counts: { waiting: number; stored: number },
  closings: Closing[],
): Promise<Depth> {
  await migrate({ databaseUrl });
  const database = openDatabase({ databaseUrl, limits: noLimits, statementTimeoutMs: 120_000 });
  closings.unshift(() => database.close());
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  closings.unshift(() => client.end());
  const begunAt = performance.now();
  const subjects = await seed(client, database, counts);
  const stack = await startStack({
    ...{ databaseUrl, simulators: 0, workers: 0 },
    env: { API_KEYS: `default:operate:${key}`, LOG_LEVEL: "warn", COMFYUI_URLS: "http://127.0.0.1:9" },
  });
  closings.unshift(() => stack.stop());
  const logger = { debug: () => undefined, info: () => undefined, warn: console.warn, error: console.error };
  const prefix = stack.env["REDIS_PREFIX"];
  const tickets = createTicketQueue({ redisUrl, logger, ...(prefix !== undefined && { prefix }) });
  closings.unshift(() => tickets.close());
  const announced = await announceAll(database, tickets);
  // What autovacuum does after some time: versions of rows that nobody sees any more are no waiting jobs.
  await client.query("VACUUM ANALYZE");
  console.log(
    `${counts.waiting} waiting and ${counts.stored} ended jobs, ${announced} tickets, in ${((performance.now() - begunAt) / 1_000).toFixed(0)} s`,
  );
  return {
    ...{ waiting: counts.waiting, database, client, tickets, stack, subjects },
    api: new ApiClient(stack.url, key),
  };
}

/** PostgreSQL itself writes the plans of all statements of one more run into its log. */
async function printPlans(row: Measured, on: Depth, log: string[]): Promise<void> {
  const settings = [
    "log_min_duration = 0",
    "log_analyze = on",
    "log_buffers = on",
    "log_nested_statements = on",
  ];
  for (const setting of settings) await on.client.query(`ALTER SYSTEM SET auto_explain.${setting}`);
  await on.client.query("SELECT pg_reload_conf()");
  await row.before?.(on);
  await sleep(1_000);
  log.length = 0;
  await row.run(on);
  await on.client.query("ALTER SYSTEM SET auto_explain.log_min_duration = -1");
  await on.client.query("SELECT pg_reload_conf()");
  await sleep(1_000);
  console.log(`\n${row.name}, with ${on.waiting} waiting:\n${log.join("\n")}\n`);
}

export async function run({
  few: fewJobs,
  many: manyJobs,
  stored: storedJobs,
  rounds,
}: z.infer<typeof optionsSchema>): Promise<Row[]> {
  const folder = await makeScratchFolder();
  const log: string[] = [];
  const onLine = (line: string): void => {
    log.push(line);
    if (log.length > 2_000) log.shift();
  };
  const postgres = await startEmbeddedPostgres({ dataDir: join(folder, "postgres"), onLine });
  const redis = await startEmbeddedRedis({ dataDir: join(folder, "redis") });
  process.env["TEST_REDIS_URL"] = redis.url;
  const closings: Closing[] = [];
  try {
    const client = new pg.Client({ connectionString: postgres.url });
    await client.connect();
    closings.unshift(() => client.end());
    await client.query("ALTER SYSTEM SET session_preload_libraries = 'auto_explain'");
    await client.query("SELECT pg_reload_conf()");
    const depths: Depth[] = [];
    for (const [name, waiting, stored] of [
      ["few", fewJobs, 0],
      ["many", manyJobs, storedJobs],
    ] as const) {
      await client.query(`CREATE DATABASE ${name}`);
      const url = new URL(postgres.url);
      url.pathname = name;
      depths.push(await open(url.href, redis.url, { waiting, stored }, closings));
    }
    const [few, many] = depths;
    if (few === undefined || many === undefined) throw new Error("A database is missing.");
    const rows: Row[] = [];
    const grown: Measured[] = [];
    for (const measured of measures) {
      const row = await compare(measured, few, many, rounds);
      rows.push(row);
      if (isMet(row) === false) grown.push(measured);
    }
    for (const measured of grown) await printPlans(measured, many, log);
    return rows;
  } finally {
    for (const close of closings) await close();
    await redis.stop();
    await postgres.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

await runBenchmark(optionsSchema, run);
