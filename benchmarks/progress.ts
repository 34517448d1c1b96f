/**
 * How fast and how dearly progress reaches those who watch: 100 running jobs, one on each paced server, of each 20 messages
 * a second (10 steps, each a `progress_state` and a `progress`), and 1,000 watchers over server-sent events, ten of each
 * job. Measured: from the moment when the server sent a step until a watcher has it; the statements that the worker
 * sends to PostgreSQL; the processor time of each part.
 *
 * npm run bench:progress [-- --jobs 100 --watchers 1000 --ticks-per-second 10 --seconds 20]
 */
import { fork, type ChildProcess } from "node:child_process";
import { rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { ApiClient, startServiceProcess } from "@genga/testing";
import { z } from "zod";
import { chainOf, startPacedServers } from "./support/paced-servers.ts";
import { processorMsOf } from "./support/processor-time.ts";
import { countStatementsOf, linesOf, type CountedStatement } from "./support/role-statements.ts";
import { type Row } from "./support/row.ts";
import { count, runBenchmark } from "./support/run-benchmark.ts";
import { startCountingServices } from "./support/statement-services.ts";
import { makeScratchFolder } from "./support/scratch-folder.ts";

const options = z.object({
  jobs: count.default(100),
  watchers: count.default(1_000),
  ticksPerSecond: count.default(10),
  seconds: count.default(20),
});

const nodesOfGraph = 4;
const programs = ["postgres", "valkey-server"];

const readSchema = z.object({
  type: z.literal("read"),
  agesMs: z.array(z.tuple([z.number(), z.number()])),
  received: z.array(z.number()),
  ended: z.number(),
});
type Read = z.infer<typeof readSchema>;

export async function run(asked: z.infer<typeof options>): Promise<Row[]> {
  const { jobs, watchers, ticksPerSecond, seconds } = asked;
  const folder = await makeScratchFolder();
  const services = await startCountingServices(folder);
  const role = await countStatementsOf(services.databaseUrl, "bench_worker");
  const epoch = Date.now();
  const paced = await startPacedServers({
    servers: jobs,
    ticksPerSecond,
    stepsMax: 0,
    objectInfoBytes: 0,
    epoch,
  });
  const env = {
    ...{ DATABASE_URL: services.databaseUrl, REDIS_URL: services.redisUrl, COMFYUI_URLS: paced.urls.join() },
    ...{ SERVER_SLOTS: "1", DATA_DIR: folder, PORT: "0", LOG_LEVEL: "warn" },
    ...{ TENANT_STREAMS_MAX: String(watchers), TENANT_REQUESTS_PER_MINUTE: "1000000" },
  };
  const api = await startServiceProcess({ entry: "apps/api/src/main.ts", env });
  const worker = await startServiceProcess({
    entry: "apps/worker/src/main.ts",
    env: { ...env, DATABASE_URL: role.databaseUrl },
  });
  const watching = fork("benchmarks/support/watchers-main.ts", { execArgv: ["--import", "tsx"] });
  const parts = new Map([
    ...([
      [api.pid, "API"],
      [worker.pid, "worker"],
      [paced.pid, "paced servers"],
    ] as const),
    ...([[watching.pid ?? 0, "watchers"]] as const),
  ]);
  try {
    const url = String(api.details["url"]);
    const jobIds = await startJobs(url, jobs);
    const urls = Array.from(
      { length: watchers },
      (_, n) => `${url}/api/anime/jobs/${jobIds[n % jobs] ?? ""}/events`,
    );
    watching.send({ urls, epoch });
    // The watchers say that all of them are connected.
    await answerOf(watching);
    console.log(`${jobs} jobs run, ${watchers} watchers`);
    // Until every job executes; the first second has the watchers' snapshots.
    do await sleep(2_000);
    while ((await readWatchers(watching)).received.length < watchers);
    await role.reset();
    const before = await processorMsOf(parts, programs);
    const startedAt = performance.now();
    await sleep(seconds * 1_000);
    const read = await readWatchers(watching);
    const wallSeconds = (performance.now() - startedAt) / 1_000;
    const [statements, times] = [await role.read(), await processorMsOf(parts, programs)];
    if (read.ended > 0 || read.received.length < watchers)
      throw new Error(
        `${read.ended} streams ended; ${read.received.length} of ${watchers} were told something`,
      );
    for (const line of linesOf(statements, wallSeconds)) console.log(line);
    for (const [part, ms] of times)
      console.log(`${part}: ${((ms - (before.get(part) ?? 0)) / wallSeconds / 10).toFixed(1)} % of a core`);
    return rowsOf(read, { wallSeconds, statements, watchers });
  } finally {
    watching.kill();
    for (const service of [worker, api, paced]) await service.stop();
    await role.close();
    await services.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** @returns the ids of the jobs, all of which execute */
async function startJobs(url: string, jobs: number): Promise<string[]> {
  const client = new ApiClient(url);
  const { id, jobIds } = await client.submitBatch(
    Array.from({ length: jobs }, (_, index) => ({
      type: "workflow",
      workflow: chainOf(nodesOfGraph, index),
    })),
  );
  for (;;) {
    const { counts } = await client.batch(id);
    if (counts["processing"] === jobs) return jobIds;
    if ((counts["queued"] ?? 0) + (counts["processing"] ?? 0) < jobs)
      throw new Error(`some jobs have ended: ${JSON.stringify(counts)}`);
    await sleep(200);
  }
}

async function readWatchers(watching: ChildProcess): Promise<Read> {
  watching.send("read");
  return readSchema.parse(await answerOf(watching));
}

/** @throws Error when the watchers end without an answer */
async function answerOf(watching: ChildProcess): Promise<unknown> {
  return await new Promise((resolve, reject) => {
    const ended = (code: number | null): void => {
      reject(new Error(`the watchers ended with ${code ?? "a signal"}`));
    };
    watching.once("exit", ended);
    watching.once("message", (message) => {
      watching.off("exit", ended);
      resolve(message);
    });
  });
}

function rowsOf(
  { agesMs, received }: Read,
  {
    wallSeconds,
    statements,
    watchers,
  }: { wallSeconds: number; statements: CountedStatement[]; watchers: number },
): Row[] {
  const events = received.reduce((sum, one) => sum + one, 0);
  const perWatcher = events / watchers / wallSeconds;
  const sorted = agesMs.toSorted(([one], [other]) => one - other);
  const percentile = (share: number): number => {
    let left = share * events;
    for (const [age, times] of sorted) if ((left -= times) <= 0) return age;
    return Number.NaN;
  };
  const bench = "progress";
  return [
    { bench, figure: "message → watcher, p50", value: percentile(0.5), unit: "ms", reach: { atMost: 30 } },
    { bench, figure: "message → watcher, p99", value: percentile(0.99), unit: "ms", reach: { atMost: 150 } },
    { bench, figure: "events a watcher", value: perWatcher, unit: "/s", reach: { atMost: 10 } },
    {
      bench,
      figure: "statements a worker",
      value: statements.reduce((sum, { calls }) => sum + calls, 0) / wallSeconds,
      unit: "/s",
      reach: { atMost: 4 },
    },
  ];
}

await runBenchmark(options, run);
