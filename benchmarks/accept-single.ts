/**
 * How many jobs a second one API accepts, each by a POST of its own with 32 of them under way, beside a bare Express handler
 * that does one INSERT and one `queue.add` for the same bodies. They take turns. No worker runs: what is measured is the
 * acceptance, from the first POST to the last 202. By parameters and as raw graphs.
 *
 * npm run bench:accept-single [-- --jobs 2000 --rounds 3 --concurrency 32 --profile FOLDER]; with a folder, the API writes a
 * CPU profile into it (its start and end included)
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { migrate } from "@genga/database";
import { startEmbeddedServices } from "@genga/embedded";
import { startServiceProcess, startSimulatorProcess } from "@genga/testing";
import pg from "pg";
import { Pool } from "undici";
import { z } from "zod";
import { median } from "./support/median.ts";
import { processorMsOf } from "./support/processor-time.ts";
import { profilingEnvironment } from "./support/profile-summary.ts";
import { type Row } from "./support/row.ts";
import { count, runBenchmark } from "./support/run-benchmark.ts";
import { firstCheckpoint, jobByGraph, jobByParameters, readDefinitions } from "./support/sample-jobs.ts";
import { makeScratchFolder } from "./support/scratch-folder.ts";

const optionsSchema = z.object({
  jobs: count.default(2_000),
  rounds: count.default(3),
  concurrency: count.default(32),
  profile: z.string().optional(),
});
type Options = z.infer<typeof optionsSchema>;

interface Target {
  url: string;
  path: string;
  pid: number;
}

interface Measured {
  jobsPerSecond: number;
  /** Of its process, a job. */
  processorMs: number;
}

/** Posts all bodies, so many at a time. @throws Error for an answer other than 202 */
async function post(target: Target, bodies: readonly string[], concurrency: number): Promise<Measured> {
  const client = new Pool(target.url, { connections: concurrency });
  const pids = new Map([[target.pid, "target"]]);
  const processorOf = async (): Promise<number> => (await processorMsOf(pids)).get("target") ?? 0;
  const waiting = bodies.values();
  const before = await processorOf();
  const startedAt = performance.now();
  const postNext = async (): Promise<void> => {
    for (const body of waiting) {
      const headers = { "content-type": "application/json" };
      const answer = await client.request({ method: "POST", path: target.path, headers, body });
      const text = await answer.body.text();
      if (answer.statusCode !== 202) throw new Error(`${answer.statusCode} ${text.slice(0, 2_000)}`);
    }
  };
  try {
    await Promise.all(Array.from({ length: concurrency }, postNext));
    const wallMs = performance.now() - startedAt;
    return {
      jobsPerSecond: (1_000 * bodies.length) / wallMs,
      processorMs: ((await processorOf()) - before) / bodies.length,
    };
  } finally {
    await client.close();
  }
}

async function compare(
  kind: string,
  jobOf: (round: number, index: number) => object,
  targets: { ours: Target; bare: Target },
  { jobs, rounds, concurrency }: Options,
): Promise<Row[]> {
  const ours: Measured[] = [];
  const bare: Measured[] = [];
  // The first round warms up both sides, and is not counted.
  for (let round = 0; round <= rounds; round += 1) {
    const bodies = Array.from({ length: jobs }, (_, index) => JSON.stringify(jobOf(round, index)));
    const measured = [
      await post(targets.bare, bodies, concurrency),
      await post(targets.ours, bodies, concurrency),
    ] as const;
    if (round === 0) continue;
    bare.push(measured[0]);
    ours.push(measured[1]);
    console.log(
      `${kind}, round ${round}: ${measured[1].jobsPerSecond.toFixed(0)} jobs/s, bare ${measured[0].jobsPerSecond.toFixed(0)}`,
    );
  }
  const ratios = ours.map(({ jobsPerSecond }, round) => jobsPerSecond / (bare[round]?.jobsPerSecond ?? NaN));
  const row = (figure: string, value: number, unit: string): Row => ({
    ...{ bench: "accept, single", figure: `${kind}: ${figure}`, value, unit },
  });
  const note = `${jobs} POSTs, ${concurrency} at a time, ${rounds} rounds`;
  return [
    { ...row("jobs/s ÷ the bare handler's", median(ratios), "×"), reach: { atLeast: 0.6 }, note },
    row("jobs a second", median(ours.map(({ jobsPerSecond }) => jobsPerSecond)), "jobs/s"),
    row("the bare handler's jobs a second", median(bare.map(({ jobsPerSecond }) => jobsPerSecond)), "jobs/s"),
    row("processor of the API a job", median(ours.map(({ processorMs }) => processorMs)), "ms"),
    row("processor of the bare handler a job", median(bare.map(({ processorMs }) => processorMs)), "ms"),
  ];
}

export async function run(options: Options): Promise<Row[]> {
  const folder = await makeScratchFolder();
  const closings: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    const services = await startEmbeddedServices({ dataDir: folder, report: () => undefined });
    closings.unshift(() => services.stop());
    await migrate({ databaseUrl: services.databaseUrl });
    const simulator = await startSimulatorProcess(["--port", "0", "--data-dir", join(folder, "comfyui")]);
    closings.unshift(() => simulator.stop());
    const shared = { DATABASE_URL: services.databaseUrl, REDIS_URL: services.redisUrl };
    const env = {
      ...{ ...shared, COMFYUI_URLS: simulator.url, DATA_DIR: folder, PORT: "0", LOG_LEVEL: "warn" },
      // All POSTs come from one tenant.
      TENANT_REQUESTS_PER_MINUTE: "10000000",
      TENANT_JOBS_QUEUED_MAX: "10000000",
    };
    const database = new pg.Client({ connectionString: services.databaseUrl });
    await database.connect();
    await readDefinitions(database, env).finally(() => database.end());
    const checkpoint = await firstCheckpoint(simulator.url);
    const api = await startServiceProcess({
      entry: "apps/api/src/main.ts",
      env: { ...env, ...(options.profile !== undefined && profilingEnvironment(options.profile)) },
    });
    closings.unshift(() => api.stop());
    const bare = await startServiceProcess({ entry: "benchmarks/support/bare-accept-main.ts", env: shared });
    closings.unshift(() => bare.stop());
    const targets = {
      ours: { url: String(api.details["url"]), path: "/api/anime/generate", pid: api.pid },
      bare: { url: String(bare.details["url"]), path: "/generate", pid: bare.pid },
    };
    const ofGraph = (round: number, index: number): object => jobByGraph(checkpoint, round, index);
    return [
      ...(await compare("parameters", jobByParameters, targets, options)),
      ...(await compare("graphs", ofGraph, targets, options)),
    ];
  } finally {
    for (const close of closings) await close();
  }
}

await runBenchmark(optionsSchema, run);
