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

async function wipeRedis(stack: Stack, redisUrl: string): Promise<void> {
  const api = new ApiClient(stack.url);
  const jobs = Array.from({ length: queued + running }, () => ({
    type: "workflow",
    workflow: sleepWorkflow(0.2, { steps: 2 }),
  }));
  const { id, jobIds } = await api.submitBatch(jobs);
  const counts = async (): Promise<Record<string, number>> => (await api.batch(id)).counts;
  while (((await counts())["processing"] ?? 0) < running / 2);
  const redis = new Redis(redisUrl);
  const before = await counts();
  await redis.flushall();
  const wipedAt = performance.now();
  redis.disconnect();
  const startedBefore = jobs.length - (before["queued"] ?? 0);
  let fullSpeedMs: number | null = null;
  for (let now = before; (now["completed"] ?? 0) < jobs.length; now = await counts()) {
    const started = jobs.length - (now["queued"] ?? 0);
    if (fullSpeedMs === null && started >= startedBefore + 2 * running)
      fullSpeedMs = performance.now() - wipedAt;
  }
  const executions = (await Promise.all(stack.simulators.map((server) => server.executions()))).flat().length;
  console.log(
    `FLUSHALL with ${before["queued"] ?? 0} queued and ${before["processing"] ?? 0} running: all ${jobIds.length} completed, ` +
      `${executions} executions; ${2 * running} more had started ${seconds(fullSpeedMs ?? 0)} after the wipe`,
  );
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "genga-bench-"));
  const services = await startEmbeddedServices({ dataDir: folder, report: () => undefined });
  await migrate({ databaseUrl: services.databaseUrl });
  process.env["TEST_REDIS_URL"] = services.redisUrl;
  try {
    const one = await startStack({ databaseUrl: services.databaseUrl });
    await killWorkers(one).finally(() => one.stop());
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
