/**
 * How long recovery takes at the real lease (12 s), measured from outside on processes: a worker is killed with jobs queued,
 * until its server renders a job that it did not hold; Redis is away for a while, until the server renders again. Besides, a
 * worker is killed in the middle of a long job, again and again, and Redis loses everything with jobs queued and running:
 * prints times, and how often the server executed each job.
 *
 * npm run bench:recovery [-- --kills 5 --queued 1000 --away-ms 30000]
 */
import { rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { migrate } from "@genga/database";
import { startEmbeddedPostgres, startEmbeddedRedis } from "@genga/embedded";
import {
  ApiClient,
  sleepWorkflow,
  startStack,
  type SimulatorProcess,
  type Stack,
  type StackOptions,
} from "@genga/testing";
import { Redis } from "ioredis";
import { z } from "zod";
import { knownPrompts, untilRendersAnother } from "./support/renders-again.ts";
import { type Row } from "./support/row.ts";
import { count, runBenchmark } from "./support/run-benchmark.ts";
import { makeScratchFolder } from "./support/scratch-folder.ts";

const optionsSchema = z.object({
  kills: count.default(5),
  queued: count.default(1_000),
  awayMs: count.default(30_000),
});

/** Jobs that are done before Redis is emptied, to know the speed. */
const warmUp = 300;
const fullShare = 0.9;
/** Prompts that all servers together hold. */
const running = 50;
const servers = 5;

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

async function killWorkers(stack: Stack, kills: number): Promise<void> {
  const api = new ApiClient(stack.url);
  const id = await api.submit({
    type: "workflow",
    workflow: sleepWorkflow(60 + kills * 20, { steps: 1000 }),
  });
  await api.until(id, (job) => job.phase === "executing");
  const times: number[] = [];
  for (let kill = 0; kill < kills; kill += 1) {
    const victim = stack.workers.at(-1);
    const killedAt = performance.now();
    victim?.signal("SIGKILL");
    const successor = await stack.startWorker();
    await successor.line(/job adopted/);
    times.push(performance.now() - killedAt);
  }
  const job = await api.untilEnded(id);
  const executions = (await Promise.all(stack.simulators.map((server) => server.executions()))).flat().length;
  times.sort((one, other) => one - other);
  console.log(
    `worker killed ${kills} times in the same job: ${job.status}, attempt ${job.attempt}, ${executions} execution(s); ` +
      `from kill to watched again ${seconds(times[0] ?? 0)} to ${seconds(times.at(-1) ?? 0)}`,
  );
}

interface Sample {
  atMs: number;
  queued: number;
  processing: number;
  completed: number;
}

/** Empties Redis when `queued` jobs are still queued, and compares the speed before with the speed after. */
async function wipeRedis(stack: Stack, redisUrl: string, queued: number): Promise<void> {
  const api = new ApiClient(stack.url);
  const jobs = Array.from({ length: queued + running + warmUp }, () => ({
    type: "workflow",
    workflow: sleepWorkflow(0.2, { steps: 2 }),
  }));
  const { id, jobIds } = await api.submitBatch(jobs);
  const samples: Sample[] = [];
  let wipedAtMs: number | null = null;
  let last: Sample;
  do {
    const { counts } = await api.batch(id);
    const { queued: waiting = 0, processing = 0, completed = 0 } = counts;
    last = { atMs: performance.now(), queued: waiting, processing, completed };
    samples.push(last);
    if (wipedAtMs === null && waiting <= queued) {
      const redis = new Redis(redisUrl);
      await redis.flushall();
      wipedAtMs = performance.now();
      redis.disconnect();
    }
  } while (last.completed < jobs.length);
  const executions = (await Promise.all(stack.simulators.map((server) => server.executions()))).flat().length;
  const wiped = wipedAtMs ?? 0;
  const before = samples.findLast(({ atMs }) => atMs <= wiped) ?? last;
  console.log(
    `FLUSHALL with ${before.queued} queued and ${before.processing} running: all ${jobIds.length} completed, ` +
      `${executions} executions; ${describeDip(samples, wiped, before)}`,
  );
}

/** How many slots stood empty, and until when, while there was work for all. */
function describeDip(samples: Sample[], wipedAtMs: number, before: Sample): string {
  const after = samples.filter((sample) => sample.atMs > wipedAtMs && sample.queued > 0);
  const lowest = after.reduce((low, sample) => (sample.processing < low.processing ? sample : low), before);
  const isFull = (sample: Sample): boolean => sample.processing >= fullShare * before.processing;
  const lastEmpty = after.findLast((sample) => !isFull(sample));
  const first = samples[0] ?? before;
  const end = after.at(-1) ?? before;
  const rate = (from: Sample, to: Sample): string =>
    ((1000 * (to.completed - from.completed)) / (to.atMs - from.atMs)).toFixed(1);
  return (
    `running fell to ${lowest.processing} at ${seconds(lowest.atMs - wipedAtMs)}, ` +
    `and was last under ${fullShare * 100} % of before at ${lastEmpty ? seconds(lastEmpty.atMs - wipedAtMs) : "no time"}; ` +
    `${rate(first, before)} jobs/s before the wipe, ${rate(before, end)} after`
  );
}

/** Runs `measure` while a batch of jobs of half a second is under way, and cancels what is left of it. */
async function withQueue(stack: Stack, queued: number, measure: () => Promise<number>): Promise<number> {
  const api = new ApiClient(stack.url);
  const jobs = Array.from({ length: queued }, () => ({
    type: "workflow",
    workflow: sleepWorkflow(0.5, { steps: 2 }),
  }));
  const { id, jobIds } = await api.submitBatch(jobs);
  await api.untilEnded(jobIds[0] ?? "");
  const measured = await measure();
  const answer = await api.request("POST", `batches/${id}/cancel`);
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  for (;;) {
    const { counts } = await api.batch(id);
    if ((counts["queued"] ?? 0) + (counts["processing"] ?? 0) === 0) return measured;
    await sleep(200);
  }
}

/** @returns ms from the kill of the only worker, beside which another has started, until its server renders again */
async function killWorker(stack: Stack, simulator: SimulatorProcess): Promise<number> {
  const [victim] = stack.workers;
  await stack.startWorker();
  victim?.signal("SIGKILL");
  const killedAt = performance.now();
  await victim?.exited;
  await untilRendersAnother(simulator, await knownPrompts(simulator));
  return performance.now() - killedAt;
}

/** @returns ms from the moment at which Redis answers again until the server renders again */
async function loseRedis(
  simulator: SimulatorProcess,
  redis: RestartableRedis,
  awayMs: number,
): Promise<number> {
  await redis.stop();
  await sleep(awayMs);
  const known = await knownPrompts(simulator);
  await redis.start();
  const backAt = performance.now();
  await untilRendersAnother(simulator, known);
  return performance.now() - backAt;
}

interface RestartableRedis {
  readonly url: string;
  /** On the port and with the data that it had. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

async function startRedis(dataDir: string): Promise<RestartableRedis> {
  let server = await startEmbeddedRedis({ dataDir });
  const { url, port } = server;
  return {
    url,
    start: async () => {
      server = await startEmbeddedRedis({ dataDir, port });
    },
    stop: () => server.stop(),
  };
}

export async function run({ kills, queued, awayMs }: z.infer<typeof optionsSchema>): Promise<Row[]> {
  const folder = await makeScratchFolder();
  const postgres = await startEmbeddedPostgres({ dataDir: folder });
  const redis = await startRedis(folder);
  process.env["TEST_REDIS_URL"] = redis.url;
  const withStack = async <Result>(
    use: (stack: Stack, simulator: SimulatorProcess) => Promise<Result>,
    options: Partial<StackOptions> = {},
  ): Promise<Result> => {
    const stack = await startStack({ databaseUrl: postgres.url, ...options });
    const [simulator] = stack.simulators;
    if (simulator === undefined) throw new Error("No server was started.");
    return await use(stack, simulator).finally(() => stack.stop());
  };
  try {
    await migrate({ databaseUrl: postgres.url });
    const killedMs = await withStack((stack, simulator) =>
      withQueue(stack, queued, () => killWorker(stack, simulator)),
    );
    const redisMs = await withStack((stack, simulator) =>
      withQueue(stack, queued, () => loseRedis(simulator, redis, awayMs)),
    );
    if (kills > 0) await withStack((stack) => killWorkers(stack, kills));
    await withStack((stack) => wipeRedis(stack, redis.url, queued), {
      simulators: servers,
      env: { SERVER_SLOTS: String(running / servers) },
    });
    return [
      {
        ...{
          bench: "recovery",
          figure: "worker killed: until its server renders again",
          value: killedMs / 1_000,
        },
        ...{ unit: "s", reach: { atMost: 15 }, note: `${queued} jobs queued, lease 12 s` },
      },
      {
        ...{
          bench: "recovery",
          figure: "Redis back: until the server renders again",
          value: redisMs / 1_000,
        },
        ...{ unit: "s", reach: { atMost: 2 }, note: `away for ${awayMs / 1_000} s` },
      },
    ];
  } finally {
    await redis.stop();
    await postgres.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

await runBenchmark(optionsSchema, run);
