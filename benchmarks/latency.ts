/**
 * How long a job of an idle system takes from the answer to its POST until its prompt arrives at the server. A proxy in this
 * process, before a simulated server, notes when it arrives. Beside it: BullMQ alone, from the end of `add` until its worker
 * has the job, in turns with Genga's jobs.
 *
 * npm run bench:latency [-- --jobs 100]
 */
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { migrate } from "@genga/database";
import { startEmbeddedServices } from "@genga/embedded";
import { startServiceProcess } from "@genga/testing";
import { Queue, Worker } from "bullmq";
import { z } from "zod";
import { startNotingProxy, type NotingProxy } from "./support/noting-proxy.ts";
import { percentile } from "./support/percentile.ts";
import { type Row } from "./support/row.ts";
import { count, runBenchmark } from "./support/run-benchmark.ts";
import { makeScratchFolder } from "./support/scratch-folder.ts";

const optionsSchema = z.object({ jobs: count.default(100) });

const accepted = z.object({ id: z.string() });
const shown = z.object({ status: z.string() });
/** What a finished job still causes, such as its ticket's end, is over after this. */
const restMs = 100;
const warmUps = 5;

function bodyOf(index: number): string {
  const workflow = {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: index } },
    "2": { class_type: "SaveImage", inputs: { images: ["1", 0], filename_prefix: `latency/${index}` } },
  };
  return JSON.stringify({ type: "workflow", workflow });
}

/** Milliseconds from the answer to the prompt's arrival; the job has completed, and the system is idle, afterwards. */
async function oneJob(apiUrl: string, proxy: NotingProxy, index: number): Promise<number> {
  const arrival = proxy.next("POST /prompt");
  const response = await fetch(`${apiUrl}/api/anime/generate`, {
    ...{ method: "POST", headers: { "content-type": "application/json" }, body: bodyOf(index) },
  });
  const answeredAt = performance.now();
  if (response.status !== 202) throw new Error(`${response.status} ${await response.text()}`);
  const { id } = accepted.parse(await response.json());
  const latencyMs = (await arrival) - answeredAt;
  for (;;) {
    await sleep(restMs);
    const job = await fetch(`${apiUrl}/api/anime/job/${id}`);
    const { status } = shown.parse(await job.json());
    if (status === "completed") break;
    if (status !== "queued" && status !== "processing") throw new Error(`job ${id} is ${status}`);
  }
  await sleep(restMs);
  return latencyMs;
}

/** BullMQ's queue and worker, each with connections of its own, as in two processes. */
async function startBare(
  redisUrl: string,
): Promise<{ one: () => Promise<number>; close: () => Promise<void> }> {
  const { hostname: host, port, password } = new URL(redisUrl);
  const connection = { host, port: Number(port), ...(password !== "" && { password }) };
  const queue = new Queue(`bare-${crypto.randomUUID()}`, { connection });
  const worker = new Worker(queue.name, () => Promise.resolve(), {
    connection: { ...connection, maxRetriesPerRequest: null },
    removeOnComplete: { count: 0 },
  });
  await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()]);
  return {
    one: async () => {
      const active = once(worker, "active").then(() => performance.now());
      await queue.add("none", {});
      const addedAt = performance.now();
      const latencyMs = (await active) - addedAt;
      await sleep(restMs);
      return latencyMs;
    },
    close: async () => {
      await worker.close();
      await queue.obliterate({ force: true });
      await queue.close();
    },
  };
}

export async function run({ jobs }: z.infer<typeof optionsSchema>): Promise<Row[]> {
  const folder = await makeScratchFolder();
  const closings: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    const services = await startEmbeddedServices({ dataDir: folder, report: () => undefined });
    closings.unshift(() => services.stop());
    await migrate({ databaseUrl: services.databaseUrl });
    const simulator = await startServiceProcess({
      entry: "packages/comfyui-simulator/src/main.ts",
      args: ["--port", "0", "--data-dir", join(folder, "comfyui"), "--save-ms", "0", "--history-lag-ms", "0"],
      env: {},
      readyLine: /simulator listening on (?<url>\S+)/,
    });
    closings.unshift(() => simulator.stop());
    const proxy = await startNotingProxy(String(simulator.details["url"]));
    closings.unshift(() => proxy.close());
    const env = {
      ...{ DATABASE_URL: services.databaseUrl, REDIS_URL: services.redisUrl, COMFYUI_URLS: proxy.url },
      ...{ DATA_DIR: folder, PORT: "0", LOG_LEVEL: "warn" },
    };
    const api = await startServiceProcess({ entry: "apps/api/src/main.ts", env });
    closings.unshift(() => api.stop());
    const worker = await startServiceProcess({ entry: "apps/worker/src/main.ts", env });
    closings.unshift(() => worker.stop());
    const bare = await startBare(services.redisUrl);
    closings.unshift(() => bare.close());
    const apiUrl = String(api.details["url"]);
    const ours: number[] = [];
    const bulls: number[] = [];
    for (let index = -warmUps; index < jobs; index += 1) {
      const [latencyMs, bareMs] = [await oneJob(apiUrl, proxy, index + warmUps), await bare.one()];
      if (index < 0) continue;
      ours.push(latencyMs);
      bulls.push(bareMs);
    }
    const bench = "latency";
    const note = `${jobs} jobs, one after the other; BullMQ's add → active beside each`;
    return [
      ...[
        { percent: 50, atMost: 10 },
        { percent: 99, atMost: 30 },
      ].map(({ percent, atMost }) => {
        const figure = `POST answered → prompt at the server, p${percent}`;
        return { bench, figure, value: percentile(ours, percent), unit: "ms", reach: { atMost }, note };
      }),
      ...[50, 99].map((percent) => {
        return { bench, figure: `BullMQ alone, p${percent}`, value: percentile(bulls, percent), unit: "ms" };
      }),
    ];
  } finally {
    for (const close of closings) await close();
  }
}

await runBenchmark(optionsSchema, run);
