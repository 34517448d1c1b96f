/**
 * Whether models stay loaded. 400 shuffled jobs for four checkpoints on two simulated servers, whose load takes 20
 * renders: once fresh, and once as a backlog that is ten patiences old. Prints the makespan over its lower bound, with
 * renders and loads measured on a bare server in the same run, and how many models were loaded, beside first in, first
 * out of the same jobs. Then the connections and commands that lanes cost in Redis, for 1 and 300 lanes.
 *
 * npm run bench:lanes [-- --jobs 400 --render-ms 200 --loads 20 --patience-ms 2000]
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ComfyUIConnector, type Workflow } from "@genga/comfyui";
import { migrate } from "@genga/database";
import { startEmbeddedServices, type EmbeddedServices } from "@genga/embedded";
import { createTicketQueue } from "@genga/queue";
import { startServiceProcess, startSimulatorProcess, type SimulatorProcess } from "@genga/testing";
import { Redis } from "ioredis";
import { Client } from "pg";
import { z } from "zod";
import { type Row } from "./support/row.ts";
import { count, runBenchmark } from "./support/run-benchmark.ts";
import { makeScratchFolder } from "./support/scratch-folder.ts";

const optionsSchema = z.object({
  jobs: count.default(400),
  renderMs: count.default(200),
  loads: count.default(20),
  patienceMs: count.default(2_000),
});
type Options = z.infer<typeof optionsSchema>;

const serversCount = 2;
const steps = 4;
const checkpoints = ["a", "b", "c", "d"].map((name) => `${name}.safetensors`);

function graph(run: string, index: number, checkpoint: string): Workflow {
  const sampler = { seed: index, steps, cfg: 1, sampler_name: "euler", scheduler: "normal", denoise: 1 };
  return {
    "1": { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: checkpoint } },
    "2": { class_type: "CLIPTextEncode", inputs: { clip: ["1", 1], text: "a lantern" } },
    "3": { class_type: "EmptyLatentImage", inputs: { width: 64, height: 64, batch_size: 1 } },
    "4": {
      class_type: "KSampler",
      inputs: { model: ["1", 0], positive: ["2", 0], negative: ["2", 0], latent_image: ["3", 0], ...sampler },
    },
    "5": { class_type: "VAEDecode", inputs: { samples: ["4", 0], vae: ["1", 2] } },
    "6": { class_type: "SaveImage", inputs: { images: ["5", 0], filename_prefix: `${run}/${index}` } },
  };
}

/** The same order in each run: an equal share of each checkpoint, shuffled. */
function shuffled(jobs: number): string[] {
  const order = Array.from({ length: jobs }, (_, index) => checkpoints[index % checkpoints.length] ?? "");
  let state = 12;
  for (let index = order.length - 1; index > 0; index -= 1) {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    const other = state % (index + 1);
    [order[index], order[other]] = [order[other] ?? "", order[index] ?? ""];
  }
  return order;
}

/** What one prompt costs on a server without Genga: a render with its model loaded, and a load. */
async function measureBare(url: string): Promise<{ renderMs: number; loadMs: number }> {
  const connector = new ComfyUIConnector({ baseUrl: url });
  await connector.connect();
  const timeOf = async (index: number, checkpoint: string): Promise<number> => {
    const promptId = crypto.randomUUID();
    const startedAt = performance.now();
    await connector.submit({ promptId, workflow: graph("bare", index, checkpoint), timeoutMs: 60_000 });
    for await (const event of connector.watch(promptId)) {
      if (event.type === "settled" && event.lookup.state !== "finished") throw new Error(event.lookup.state);
    }
    return performance.now() - startedAt;
  };
  const [first = "", second = ""] = checkpoints;
  await timeOf(0, first);
  const renders = [];
  for (let index = 1; index <= 10; index += 1) renders.push(await timeOf(index, first));
  const render = renders.reduce((sum, ms) => sum + ms, 0) / renders.length;
  const load = (await timeOf(11, second)) - render;
  await connector.close();
  return { renderMs: render, loadMs: load };
}

/** Loads of first in, first out: each server takes the next job when it is free, and every render takes as long. */
function loadsInOrder(order: readonly string[], render: number, load: number): number {
  const servers = Array.from({ length: serversCount }, () => ({ freeAt: 0, loaded: "" }));
  let loads = 0;
  for (const checkpoint of order) {
    const [server] = servers.sort((one, other) => one.freeAt - other.freeAt);
    if (server === undefined) break;
    if (server.loaded !== checkpoint) {
      loads += 1;
      server.freeAt += load;
    }
    server.loaded = checkpoint;
    server.freeAt += render;
  }
  return loads;
}

const acceptedSchema = z.object({ id: z.string() });
const batchSchema = z.object({ counts: z.record(z.string(), z.number()) });

class Farm {
  readonly url: string;

  constructor(url: string) {
    this.url = `${url}/api/anime`;
  }

  async post(path: string, body: unknown = {}): Promise<unknown> {
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${this.url}/${path}`, {
      method: "POST",
      headers,
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return await response.json();
  }

  async untilCompleted(batchId: string, jobs: number): Promise<void> {
    for (;;) {
      const { counts } = batchSchema.parse(await (await fetch(`${this.url}/batches/${batchId}`)).json());
      if (counts["completed"] === jobs) return;
      const open = (counts["queued"] ?? 0) + (counts["processing"] ?? 0) + (counts["completed"] ?? 0);
      if (open < jobs) throw new Error(`some jobs failed: ${JSON.stringify(counts)}`);
      await sleep(50);
    }
  }
}

/** The jobs are accepted while the farm is paused, so that all of them wait when it begins. */
async function runOnce(
  name: string,
  farm: Farm,
  order: readonly string[],
  waitMs: number,
): Promise<{ id: string; tookMs: number }> {
  await farm.post("farm/pause");
  const batch = {
    jobs: order.map((checkpoint, index) => ({ type: "workflow", workflow: graph(name, index, checkpoint) })),
  };
  const { id } = acceptedSchema.parse(await farm.post("batches", batch));
  await sleep(waitMs);
  await farm.post("farm/resume");
  const startedAt = performance.now();
  await farm.untilCompleted(id, order.length);
  return { id, tookMs: performance.now() - startedAt };
}

/** How often the servers changed their model in this run. */
async function countLoads(
  databaseUrl: string,
  simulators: readonly SimulatorProcess[],
  batchId: string,
): Promise<number> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  const { rows } = await client.query<{ id: string; checkpoint: string }>(
    `SELECT attempt.prompt_id AS id, lanes.main_model AS checkpoint
     FROM job_attempts attempt JOIN jobs ON jobs.id = attempt.job_id JOIN lanes ON lanes.name = jobs.lane
     WHERE jobs.batch_id = $1`,
    [batchId],
  );
  await client.end();
  const checkpointOf = new Map(rows.map(({ id, checkpoint }) => [id, checkpoint]));
  let loads = 0;
  for (const simulator of simulators) {
    let loaded = "";
    for (const promptId of await simulator.executions()) {
      const checkpoint = checkpointOf.get(promptId);
      if (checkpoint === undefined || checkpoint === loaded) continue;
      loads += 1;
      loaded = checkpoint;
    }
  }
  return loads;
}

/** Two consumers that look at lanes with one waiting ticket each, for five seconds; and what a ticket costs. */
async function measureRedis(redisUrl: string, lanesCount: number): Promise<void> {
  const redis = new Redis(redisUrl);
  const logger = { info: () => undefined, warn: console.warn, error: console.error };
  const prefix = `bench-${lanesCount}`;
  const before = await connectionsOf(redis);
  const queues = [1, 2].map(() => createTicketQueue({ redisUrl, prefix, logger }));
  const stops = queues.map((queue) => queue.onAvailable(() => void queue.lanes().catch(() => undefined)));
  const [first] = queues;
  if (first === undefined) return;
  const ticket = (index: number) => ({
    ...{ jobId: crypto.randomUUID(), attempt: 1, ticketNumber: 0, type: "image" as const },
    ...{ lane: `lane-${index}`, priority: "normal" as const, rank: 1, agedBands: 0 },
  });
  await first.add(Array.from({ length: lanesCount }, (_, index) => ticket(index)));
  await sleep(2_000);
  const connections = (await connectionsOf(redis)) - before;
  const waiting = await countCommands(redis, () => sleep(5_000));
  const startedAt = performance.now();
  const taking = await countCommands(redis, async () => {
    for (const { lane } of await first.lanes()) {
      for (const taken of await first.take(lane, 1)) await first.finish(taken, { kind: "completed" });
    }
  });
  const tookMs = performance.now() - startedAt;
  for (const stop of stops) stop();
  for (const queue of queues) await queue.close();
  await redis.quit();
  const each = (count: number, of: number): string => (count / of).toFixed(1);
  console.log(
    `${lanesCount} lanes, 2 consumers: ${connections} connections; ${each(waiting, 5)} commands/s while tickets wait ` +
      `(heartbeats, and commands inside scripts, included); to take and finish a ticket ${each(taking, lanesCount)}, ` +
      `${each(tookMs, lanesCount)} ms`,
  );
}

/** The commands that Redis ran during the work, those inside scripts included. */
async function countCommands(redis: Redis, work: () => Promise<void>): Promise<number> {
  const before = await commandsOf(redis);
  await work();
  return (await commandsOf(redis)) - before;
}

async function commandsOf(redis: Redis): Promise<number> {
  return Number(/total_commands_processed:(\d+)/.exec(await redis.info("stats"))?.[1]);
}

async function connectionsOf(redis: Redis): Promise<number> {
  return Number(/connected_clients:(\d+)/.exec(await redis.info("clients"))?.[1]);
}

export async function run(options: Options): Promise<Row[]> {
  const folder = await makeScratchFolder();
  const services = await startEmbeddedServices({ dataDir: folder, report: () => undefined });
  const stops: (() => Promise<unknown>)[] = [];
  try {
    await migrate({ databaseUrl: services.databaseUrl });
    const rows = await measureLanes(services, folder, stops, options);
    for (const lanesCount of [1, 300]) await measureRedis(services.redisUrl, lanesCount);
    return rows;
  } finally {
    for (const stop of stops.toReversed()) await stop();
    await services.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function measureLanes(
  services: EmbeddedServices,
  folder: string,
  stops: (() => Promise<unknown>)[],
  { jobs, renderMs, loads: rendersOfLoad, patienceMs }: Options,
): Promise<Row[]> {
  const startSimulator = async (index: number): Promise<SimulatorProcess> => {
    const simulator = await startSimulatorProcess([
      ...["--port", "0", "--data-dir", join(folder, `comfyui-${index}`), "--no-previews"],
      ...["--checkpoints", checkpoints.join(), "--load-ms", `${renderMs * rendersOfLoad}`],
      ...["--step-ms", `${renderMs / steps}`, "--save-ms", "0", "--history-lag-ms", "0"],
    ]);
    stops.push(() => simulator.stop());
    return simulator;
  };
  const bareServer = await startSimulator(serversCount);
  const bare = await measureBare(bareServer.url);
  const simulators = await Promise.all(
    Array.from({ length: serversCount }, (_, index) => startSimulator(index)),
  );
  const env = {
    ...{ DATABASE_URL: services.databaseUrl, REDIS_URL: services.redisUrl, DATA_DIR: folder, PORT: "0" },
    ...{ COMFYUI_URLS: simulators.map(({ url }) => url).join(), LOG_LEVEL: "warn" },
    LANE_PATIENCE_MS: `${patienceMs}`,
  };
  const api = await startServiceProcess({ entry: "apps/api/src/main.ts", env });
  stops.push(() => api.stop());
  const worker = await startServiceProcess({ entry: "apps/worker/src/main.ts", env });
  stops.push(() => worker.stop());
  const farm = new Farm(String(api.details["url"]));
  const order = shuffled(jobs);
  const bound = Math.max(
    (jobs * bare.renderMs + checkpoints.length * bare.loadMs) / serversCount,
    bare.loadMs + bare.renderMs,
  );
  const inOrder = loadsInOrder(order, bare.renderMs, bare.loadMs);
  console.log(
    `${jobs} jobs, ${checkpoints.length} checkpoints, ${serversCount} servers; on a bare server a render takes ` +
      `${bare.renderMs.toFixed(0)} ms and a load ${bare.loadMs.toFixed(0)} ms: lower bound ${bound.toFixed(0)} ms`,
  );
  const rows: Row[] = [];
  for (const [name, waitMs] of [
    ["fresh", 0],
    ["old", 10 * patienceMs],
  ] as const) {
    const { id, tookMs } = await runOnce(name, farm, order, waitMs);
    const loads = await countLoads(services.databaseUrl, simulators, id);
    const title = name === "old" ? "backlog of ten patiences" : "fresh";
    const note = `${jobs} jobs of ${bare.renderMs.toFixed(0)} ms, a load ${bare.loadMs.toFixed(0)} ms`;
    rows.push(
      {
        ...{ bench: "lanes", figure: `${title}: makespan ÷ lower bound`, value: tookMs / bound, unit: "×" },
        ...{ reach: { atMost: 1.15 }, note },
      },
      {
        ...{ bench: "lanes", figure: `${title}: model loads ÷ first-in-first-out's`, value: loads / inOrder },
        ...{ unit: "×", reach: { atMost: 0.1 }, note: `${loads} of ${inOrder}` },
      },
    );
  }
  return rows;
}

await runBenchmark(optionsSchema, run);
