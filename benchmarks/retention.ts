/**
 * Whether anything grows for ever: runs many small jobs, each with a graph, a prompt and a file of its own, while retention
 * keeps the last ones only. Prints over time how many rows each table has, how many files there are, and what Redis takes.
 *
 * npm run bench:retention [-- --jobs 100000 --kept 1000 --minutes 120]; `--kept all` leaves retention off, to compare with
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { migrate } from "@genga/database";
import { startEmbeddedServices } from "@genga/embedded";
import { ApiClient, sleepWorkflow, startStack, type Stack } from "@genga/testing";
import { Redis } from "ioredis";
import pg from "pg";
import { endChildrenOnSignals } from "./support/end-children.ts";
import { makeScratchFolder } from "./support/scratch-folder.ts";

const { values } = parseArgs({
  options: {
    jobs: { type: "string", default: "100000" },
    kept: { type: "string", default: "1000" },
    minutes: { type: "string", default: "120" },
  },
});
const total = Number(values.jobs);
const retention = values.kept === "all" ? {} : { RETENTION_JOBS: values.kept };
const servers = 4;
const batchSize = 500;
/** More than the servers can hold, and few enough that what waits does not hide what grows. */
const queuedMax = 1_000;
const sampleEveryMs = 30_000;
/** Retention takes nothing within a minute of its end; then the last removals are finished. */
const quietMs = 120_000;

const tables = [
  ...[
    "jobs",
    "job_parameters",
    "workflows",
    "batches",
    "job_events",
    "event_positions",
    "unsequenced_events",
    "job_attempts",
    "outputs",
    "removed_jobs",
    "removed_batches",
  ],
  ...[
    "pending_removals",
    "prompts_to_forget",
    "ended_job_changes",
    "tenant_job_counts",
    "batch_job_counts",
    "uploads",
    "job_uploads",
  ],
];

/** Of a folder whose contents come and go while it is read. */
async function countIn(folder: string): Promise<{ files: number; folders: number }> {
  const counts = { files: 0, folders: 1 };
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    if (entry.isFile()) counts.files += 1;
    if (!entry.isDirectory()) continue;
    const inside = await countIn(join(folder, entry.name));
    counts.files += inside.files;
    counts.folders += inside.folders;
  }
  return counts;
}

/** A sample as a line. */
async function sample(stack: Stack, client: pg.Client, redis: Redis, startedAt: number): Promise<void> {
  const { rows } = await client.query<Record<string, string>>(
    `SELECT ${tables.map((table) => `(SELECT count(*) FROM ${table}) AS ${table}`).join(", ")},
       pg_database_size(current_database()) AS bytes`,
  );
  const { bytes, ...counts } = rows[0] ?? {};
  const { files, folders } = await countIn(join(stack.folder, "outputs"));
  const memory = /used_memory:(\d+)/.exec(await redis.info("memory"))?.[1];
  const parts = [
    `${((performance.now() - startedAt) / 60_000).toFixed(1)} min`,
    `${files} files in ${folders} folders`,
    `redis ${(Number(memory) / 1e6).toFixed(1)} MB in ${await redis.dbsize()} keys`,
    `database ${(Number(bytes) / 1e6).toFixed(0)} MB`,
    ...Object.entries(counts).map(([table, count]) => `${table} ${count}`),
  ];
  console.log(parts.join(" | "));
}

/** Submits batch after batch, as fast as the servers work. */
async function submitAll(stack: Stack, client: pg.Client, signal: AbortSignal): Promise<number> {
  const api = new ApiClient(stack.url);
  let submitted = 0;
  while (submitted < total && !signal.aborted) {
    const { rows } = await client.query<{ open: string }>(
      "SELECT count(*) AS open FROM jobs WHERE finished_at IS NULL",
    );
    if (Number(rows[0]?.open) > queuedMax - batchSize) {
      await sleep(500);
      continue;
    }
    const size = Math.min(batchSize, total - submitted);
    await api.submitBatch(
      Array.from({ length: size }, () => ({ type: "workflow", workflow: sleepWorkflow(0, { steps: 1 }) })),
    );
    submitted += size;
  }
  while (!signal.aborted) {
    const { rowCount } = await client.query("SELECT FROM jobs WHERE finished_at IS NULL LIMIT 1");
    if (rowCount === 0) break;
    await sleep(500);
  }
  return submitted;
}

async function run(stack: Stack, databaseUrl: string, redisUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  const sampler = new pg.Client({ connectionString: databaseUrl });
  const redis = new Redis(redisUrl);
  await Promise.all([client.connect(), sampler.connect()]);
  const startedAt = performance.now();
  const sampling = setInterval(() => {
    sample(stack, sampler, redis, startedAt).catch((error: unknown) => {
      console.error(error);
    });
  }, sampleEveryMs);
  try {
    const submitted = await submitAll(stack, client, AbortSignal.timeout(Number(values.minutes) * 60_000));
    const minutes = (performance.now() - startedAt) / 60_000;
    console.log(
      `${submitted} jobs in ${minutes.toFixed(1)} min; ${(submitted / minutes / 60).toFixed(1)} a second`,
    );
    await sleep(quietMs);
    await sample(stack, sampler, redis, startedAt);
  } finally {
    clearInterval(sampling);
    redis.disconnect();
    await Promise.all([client.end(), sampler.end()]);
  }
}

async function main(): Promise<void> {
  const folder = await makeScratchFolder();
  const services = await startEmbeddedServices({ dataDir: folder, report: () => undefined });
  await migrate({ databaseUrl: services.databaseUrl });
  process.env["TEST_REDIS_URL"] = services.redisUrl;
  try {
    const stack = await startStack({
      databaseUrl: services.databaseUrl,
      simulators: servers,
      simulatorArgs: ["--load-ms", "0", "--step-ms", "0", "--save-ms", "0", "--history-lag-ms", "0"],
      env: { SERVER_SLOTS: "4", LOG_LEVEL: "warn", ...retention },
    });
    await run(stack, services.databaseUrl, services.redisUrl).finally(() => stack.stop());
  } finally {
    await services.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

endChildrenOnSignals();
await main();
