/**
 * Whether a flood starves others, measured from outside on processes with servers of short sleeps: one tenant sends its
 * flood, then another tenant sends one job, and then a batch. Prints how long the first job waited, in work of one slot,
 * and the seconds of execution of each tenant (from the begin to the recorded
 * end, so with the saving of outputs) while both had jobs waiting and in all. With --finish all jobs are run to the end.
 *
 * npm run bench:fairness [-- --flood 20000 --batch 400 --servers 4 --sleep-ms 50 --finish]
 */
import { rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { migrate } from "@genga/database";
import { startEmbeddedServices } from "@genga/embedded";
import { ApiClient, sleepWorkflow, startStack, type Stack } from "@genga/testing";
import pg from "pg";
import { endChildrenOnSignals } from "./support/end-children.ts";
import { makeScratchFolder } from "./support/scratch-folder.ts";

const { values } = parseArgs({
  options: {
    flood: { type: "string", default: "20000" },
    batch: { type: "string", default: "400" },
    servers: { type: "string", default: "4" },
    "sleep-ms": { type: "string", default: "50" },
    finish: { type: "boolean", default: false },
  },
});
const flood = Number(values.flood);
const batch = Number(values.batch);
const servers = Number(values.servers);
const sleepMs = Number(values["sleep-ms"]);
/** The most jobs of one request. */
const batchMax = 10_000;
/** Jobs of the flood that are done before the other tenant comes. */
const warmUp = 100;

const jobs = (count: number): object[] =>
  Array.from({ length: count }, () => ({
    type: "workflow",
    workflow: sleepWorkflow(sleepMs / 1_000, { steps: 1 }),
  }));

interface Usage {
  tenant: string;
  executed: number;
  seconds: number;
}

/** What each tenant's executions took, with saving, that ended in a time by the database's clock. */
async function usageOf(database: pg.Client, from: Date, to: Date): Promise<Usage[]> {
  const { rows } = await database.query<Usage>(
    `SELECT tenant.name AS tenant, count(*)::int AS executed,
       round(extract(epoch FROM sum(attempt.finished_at - attempt.execution_started_at))::numeric, 1)::float8 AS "seconds"
     FROM job_attempts attempt JOIN jobs job ON job.id = attempt.job_id JOIN tenants tenant ON tenant.id = job.tenant_id
     WHERE attempt.outcome = 'completed' AND attempt.finished_at > $1 AND attempt.finished_at <= $2
     GROUP BY tenant.name ORDER BY tenant.name`,
    [from, to],
  );
  return rows;
}

async function countOf(database: pg.Client, condition: string): Promise<number> {
  const { rows } = await database.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM jobs JOIN tenants ON tenants.id = tenant_id WHERE ${condition}`,
  );
  return rows[0]?.count ?? 0;
}

async function untilCount(database: pg.Client, condition: string, isEnough: (count: number) => boolean) {
  while (!isEnough(await countOf(database, condition))) await delay(100);
}

const show = (usage: Usage[]): string =>
  usage.map(({ tenant, executed, seconds }) => `${tenant} ${seconds} s in ${executed} jobs`).join(", ");

async function measure(
  stack: Stack,
  database: pg.Client,
  keys: { flood: string; other: string },
): Promise<void> {
  const [flooding, other] = [new ApiClient(stack.url, keys.flood), new ApiClient(stack.url, keys.other)];
  for (let sent = 0; sent < flood; sent += batchMax) {
    await flooding.submitBatch(jobs(Math.min(batchMax, flood - sent)));
  }
  await untilCount(database, "status = 'completed'", (done) => done >= warmUp);
  const waitingAtFirst = await countOf(database, "status = 'queued'");

  const [first] = jobs(1);
  const firstId = await other.submit({ ...first });
  await other.untilEnded(firstId);
  const { rows } = await database.query<{ waitedMs: number; slotMs: number }>(
    `SELECT extract(epoch FROM attempt.execution_started_at - job.created_at)::float8 * 1000 AS "waitedMs",
       (SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM of_flood.finished_at - of_flood.claimed_at)) * 1000
        FROM job_attempts of_flood WHERE of_flood.outcome = 'completed' AND of_flood.job_id <> job.id) AS "slotMs"
     FROM jobs job JOIN job_attempts attempt ON attempt.job_id = job.id WHERE job.id = $1`,
    [firstId],
  );
  const { waitedMs = NaN, slotMs = NaN } = rows[0] ?? {};
  console.log(
    `${waitingAtFirst} jobs of one tenant waited; another tenant's first job began after ${Math.round(waitedMs)} ms ` +
      `(a slot's work, from claim to end, takes ${Math.round(slotMs)} ms at the 95th percentile)`,
  );

  const from = new Date();
  await other.submitBatch(jobs(batch));
  const ofOther = "tenants.name = 'other' AND status IN ('queued', 'processing')";
  // While both tenants have jobs waiting: until the last of the batch have begun.
  await untilCount(database, "tenants.name = 'other' AND status = 'queued'", (waiting) => waiting === 0);
  const shared = await usageOf(database, from, new Date());
  await untilCount(database, ofOther, (left) => left === 0);
  console.log(`seconds of execution while both had jobs waiting: ${show(shared)}`);
  if (!values.finish) return;

  const beganAt = performance.now();
  await untilCount(database, "status IN ('queued', 'processing')", (left) => left === 0);
  const completed = await countOf(database, "status = 'completed'");
  console.log(
    `all ${completed} of ${flood + batch + 1} jobs completed, the rest within ${Math.round((performance.now() - beganAt) / 1_000)} s; ` +
      `seconds of execution: ${show(await usageOf(database, new Date(0), new Date()))}`,
  );
}

async function main(): Promise<void> {
  const folder = await makeScratchFolder();
  const services = await startEmbeddedServices({ dataDir: folder, report: () => undefined });
  await migrate({ databaseUrl: services.databaseUrl });
  process.env["TEST_REDIS_URL"] = services.redisUrl;
  const keys = { flood: "key-of-the-flooding-tenant", other: "key-of-the-other-tenant" };
  const database = new pg.Client({ connectionString: services.databaseUrl });
  await database.connect();
  try {
    const stack = await startStack({
      databaseUrl: services.databaseUrl,
      simulators: servers,
      env: { API_KEYS: `flood:submit:${keys.flood},other:submit:${keys.other}` },
    });
    await measure(stack, database, keys).finally(() => stack.stop());
  } finally {
    await database.end();
    await services.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

endChildrenOnSignals();
await main();
