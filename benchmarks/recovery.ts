/**
 * How long recovery takes at the real lease (12 s), measured from outside on processes:
 * a worker is killed in the middle of a long job, again and again; and Redis loses everything with jobs queued and
 * running. Prints times, and how often the server executed each job.
 *
 * npm run bench:recovery [-- --kills 5 --queued 1000]
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { migrate } from "@genga/database";
import { startEmbeddedServices } from "@genga/embedded";
import { ApiClient, sleepWorkflow, startStack, type Stack } from "@genga/testing";
import { Redis } from "ioredis";

const { values } = parseArgs({
  options: { kills: { type: "string", default: "5" }, queued: { type: "string", default: "1000" } },
});
const kills = Number(values.kills);
const queued = Number(values.queued);
/** Jobs that are done before Redis is emptied, to know the speed. */
const warmUp = 300;
const fullShare = 0.9;
/** Prompts that all servers together hold. */
const running = 50;
const servers = 5;

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

async function killWorkers(stack: Stack): Promise<void> {
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
async function wipeRedis(stack: Stack, redisUrl: string): Promise<void> {
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

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "genga-bench-"));
  const services = await startEmbeddedServices({ dataDir: folder, report: () => undefined });
  await migrate({ databaseUrl: services.databaseUrl });
  process.env["TEST_REDIS_URL"] = services.redisUrl;
  try {
    if (kills > 0) {
      const one = await startStack({ databaseUrl: services.databaseUrl });
      await killWorkers(one).finally(() => one.stop());
    }
    const many = await startStack({
      databaseUrl: services.databaseUrl,
      simulators: servers,
      env: { SERVER_SLOTS: String(running / servers) },
    });
    await wipeRedis(many, services.redisUrl).finally(() => many.stop());
  } finally {
    await services.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

await main();
