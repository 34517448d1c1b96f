/**
 * The whole life of a job, without the rendering: 64 servers that do nothing (12 messages and one PNG of 1 kB for each
 * prompt), one API, one worker. Each round submits one batch and waits until all its jobs are completed with their outputs
 * stored; in turns with BullMQ alone, whose jobs do nothing. Prints jobs a second, their ratio, the processor time of a job by
 * part, and the budget of a job: statements, WAL, Redis commands, requests to ComfyUI.
 *
 * npm run bench:pipeline [-- --jobs 4000 --servers 64 --rounds 3 --profile FOLDER]; with a folder, API and worker write CPU
 * profiles into it (start and end of the processes included), and the shares of packages are printed
 */
import { rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { startServiceProcess } from "@genga/testing";
import { Redis } from "ioredis";
import pg from "pg";
import { z } from "zod";
import { measureBareBull } from "./support/bare-bull.ts";
import { runGenga } from "./support/both-ways.ts";
import { readSpent, spentPerJob, takeTopStatements, type Spent } from "./support/budget.ts";
import { median } from "./support/median.ts";
import { nullGraph } from "./support/null-graph.ts";
import { startNullServers, type NullServers } from "./support/null-servers.ts";
import { processorMsOf } from "./support/processor-time.ts";
import { profilingEnvironment, summarizeProfiles } from "./support/profile-summary.ts";
import { type Row } from "./support/row.ts";
import { count, runBenchmark } from "./support/run-benchmark.ts";
import { startCountingServices } from "./support/statement-services.ts";
import { makeScratchFolder } from "./support/scratch-folder.ts";

const optionsSchema = z.object({
  jobs: count.default(4_000),
  servers: count.default(64),
  rounds: count.default(3),
  profile: z.string().optional(),
});
/** Enough that all servers are known and all code is compiled. */
const warmUpShare = 0.25;
/** What the processes are in the table: of the databases, the names of their programs. */
const parts = new Map([
  ["API", "API"],
  ["worker", "worker"],
  ["postgres", "Postgres"],
  ["valkey-server", "Redis"],
  ["redis-server", "Redis"],
  ["servers", "servers"],
]);
const programs = ["postgres", "valkey-server", "redis-server"];

interface Round {
  wallMs: number;
  bullMs: number;
  /** A job, by part; empty where there is no `/proc`. */
  processorMs: Map<string, number>;
  spent: Spent;
  requests: number;
}

interface Farm {
  apiUrl: string;
  redisUrl: string;
  client: pg.Client;
  redis: Redis;
  nulls: NullServers;
  pids: ReadonlyMap<number, string>;
}

async function runOnce(farm: Farm, name: string, jobs: number): Promise<Round> {
  const { client, redis, nulls, pids } = farm;
  const bullMs = await measureBareBull(farm.redisUrl, jobs);
  const graphs = Array.from({ length: jobs }, (_, index) => nullGraph(name, index));
  const requestsOf = async (): Promise<number> =>
    [...(await nulls.requests()).values()].reduce((sum, calls) => sum + calls, 0);
  await takeTopStatements(client, jobs);
  const before = await readSpent(client, redis);
  const requestsBefore = await requestsOf();
  const processorBefore = await processorMsOf(pids, programs);
  const wallMs = await runGenga(farm.apiUrl, graphs);
  const processorAfter = await processorMsOf(pids, programs);
  const requests = ((await requestsOf()) - requestsBefore) / jobs;
  const spent = spentPerJob(before, await readSpent(client, redis), jobs);
  for (const line of await takeTopStatements(client, jobs)) console.log(`    ${line}`);
  const used = new Map<string, number>();
  for (const [name, ms] of processorAfter) {
    const part = parts.get(name);
    if (part === undefined) continue; // This process, which only waits.
    used.set(part, (used.get(part) ?? 0) + (ms - (processorBefore.get(name) ?? 0)) / jobs);
  }
  const round = { wallMs, bullMs, processorMs: used, spent, requests };
  console.log(`${name}: ${describe(round, jobs)}`);
  return round;
}

function describe({ wallMs, bullMs, processorMs }: Round, jobs: number): string {
  const shares = [...processorMs].map(([part, ms]) => `${part} ${ms.toFixed(2)}`).join(", ");
  return (
    `${((1_000 * jobs) / wallMs).toFixed(0)} jobs/s, BullMQ alone ${((1_000 * jobs) / bullMs).toFixed(0)}; ` +
    `processor ms a job: ${shares}`
  );
}

/** The wall time as it would be without the processor time of the servers, which have none on a real farm. */
function withoutServers({ wallMs, processorMs }: Round, jobs: number): number {
  return wallMs - ((processorMs.get("servers") ?? 0) * jobs) / availableParallelism();
}

const ours = ["worker", "API", "Postgres", "Redis"];
const oursMs = ({ processorMs }: Round): number =>
  ours.reduce((sum, part) => sum + (processorMs.get(part) ?? 0), 0);

/** The medians of the rounds. */
function rowsOf(rounds: readonly Round[], jobs: number, servers: number): Row[] {
  const row = (figure: string, unit: string, of: (round: Round) => number): Row => ({
    ...{ bench: "pipeline", figure, value: median(rounds.map(of)), unit },
  });
  const partRow = (part: string): Row =>
    row(`processor a job: ${part}`, "ms", ({ processorMs }) => processorMs.get(part) ?? 0);
  const ratio = row("jobs/s without the servers' processor time ÷ BullMQ's no-op jobs/s", "×", (round) => {
    return round.bullMs / withoutServers(round, jobs);
  });
  const note = `${jobs} jobs on ${servers} null servers, ${rounds.length} rounds, ${availableParallelism()} cores`;
  return [
    { ...ratio, reach: { atLeast: 0.05 }, note },
    row("jobs/s ÷ BullMQ's no-op jobs/s", "×", ({ wallMs, bullMs }) => bullMs / wallMs),
    row("jobs a second", "jobs/s", ({ wallMs }) => (1_000 * jobs) / wallMs),
    row("BullMQ's no-op jobs a second", "jobs/s", ({ bullMs }) => (1_000 * jobs) / bullMs),
    { ...row("processor a job: ours in all", "ms", oursMs), reach: { atMost: 6 } },
    ...ours.map(partRow),
    partRow("servers"),
    row("statements a job", "", ({ spent }) => spent.statements),
    row("transactions a job", "", ({ spent }) => spent.transactions),
    row("WAL a job", "bytes", ({ spent }) => spent.walBytes),
    row("Redis commands a job", "", ({ spent }) => spent.redisCommands),
    row("Redis scripts a job", "", ({ spent }) => spent.redisScripts),
    row("requests to ComfyUI a job", "", ({ requests }) => requests),
  ];
}

export async function run(options: z.infer<typeof optionsSchema>): Promise<Row[]> {
  const rows = await measure(options);
  if (options.profile !== undefined)
    for (const line of await summarizeProfiles(options.profile)) console.log(line);
  return rows;
}

async function measure({ jobs, servers, rounds, profile }: z.infer<typeof optionsSchema>): Promise<Row[]> {
  const folder = await makeScratchFolder();
  const closings: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    const services = await startCountingServices(join(folder, "services"));
    closings.unshift(() => services.stop());
    const nulls = await startNullServers(servers);
    closings.unshift(() => nulls.stop());
    const env = {
      ...{ DATABASE_URL: services.databaseUrl, REDIS_URL: services.redisUrl, DATA_DIR: folder, PORT: "0" },
      ...{ COMFYUI_URLS: nulls.urls.join(), LOG_LEVEL: "warn" },
      ...(profile !== undefined && profilingEnvironment(profile)),
    };
    const api = await startServiceProcess({ entry: "apps/api/src/main.ts", env });
    closings.unshift(() => api.stop());
    const worker = await startServiceProcess({ entry: "apps/worker/src/main.ts", env });
    closings.unshift(() => worker.stop());
    const client = new pg.Client({ connectionString: services.databaseUrl });
    await client.connect();
    closings.unshift(() => client.end());
    const redis = new Redis(services.redisUrl);
    closings.unshift(() => redis.quit());
    const pids = new Map([
      [process.pid, "client"],
      [api.pid, "API"],
      [worker.pid, "worker"],
      [nulls.pid, "servers"],
    ]);
    const farm = {
      apiUrl: String(api.details["url"]),
      redisUrl: services.redisUrl,
      client,
      redis,
      nulls,
      pids,
    };
    await runOnce(farm, "warm-up", Math.ceil(jobs * warmUpShare));
    const measured: Round[] = [];
    for (let round = 1; round <= rounds; round += 1)
      measured.push(await runOnce(farm, `round-${round}`, jobs));
    return rowsOf(measured, jobs, servers);
  } finally {
    for (const close of closings) await close();
  }
}

await runBenchmark(optionsSchema, run);
