/**
 * What the messages of a large graph cost. A `progress_state` repeats every node that has begun: with 300 nodes it has
 * 60 kB. One job of such a graph runs on a server that sends them at the rate of a real one (a ComfyUI 0.28 sent 190 a
 * second while it ran 300 cheap nodes; a sampler sends one per step). Measured is the processor time of the worker's
 * process, less what the worker takes at rest; beside it that of a client that parses every message, and of one that
 * drops every message, with the same messages from the same server.
 *
 * npm run bench:progress-state [-- --nodes 300 --states-per-second 190 --seconds 10]
 */
import { rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { migrate } from "@genga/database";
import { startEmbeddedServices } from "@genga/embedded";
import { ApiClient, startServiceProcess } from "@genga/testing";
import { WebSocket } from "ws";
import { z } from "zod";
import { chainOf, startPacedServers, ticksOf } from "./support/paced-servers.ts";
import { processorMsOf } from "./support/processor-time.ts";
import { type Row } from "./support/row.ts";
import { count, runBenchmark } from "./support/run-benchmark.ts";
import { makeScratchFolder } from "./support/scratch-folder.ts";

const options = z.object({
  nodes: count.default(300),
  statesPerSecond: count.default(190),
  seconds: count.default(10),
});

const bench = "progress_state";

export async function run({ nodes, statesPerSecond, seconds }: z.infer<typeof options>): Promise<Row[]> {
  const folder = await makeScratchFolder();
  const services = await startEmbeddedServices({ dataDir: folder, report: () => undefined });
  await migrate({ databaseUrl: services.databaseUrl });
  // One for the worker, and one for each client.
  const paced = await startPacedServers({
    ...{ servers: 3, ticksPerSecond: statesPerSecond, stepsMax: 0, objectInfoBytes: 0, epoch: Date.now() },
  });
  const [first = "", second = "", third = ""] = paced.urls;
  const env = {
    ...{ DATABASE_URL: services.databaseUrl, REDIS_URL: services.redisUrl, COMFYUI_URLS: first },
    ...{ DATA_DIR: folder, PORT: "0", LOG_LEVEL: "warn" },
  };
  const api = await startServiceProcess({ entry: "apps/api/src/main.ts", env });
  const worker = await startServiceProcess({ entry: "apps/worker/src/main.ts", env });
  const ofWorker = async (): Promise<number> =>
    (await processorMsOf(new Map([[worker.pid, "worker"]]))).get("worker") ?? 0;
  try {
    const client = new ApiClient(String(api.details["url"]));
    // The first seconds of a worker cost more.
    await sleep(5_000);
    const rest = await measure(ofWorker, { url: first, seconds });
    await client.submit({ type: "workflow", workflow: chainOf(nodes, 1) });
    await untilFullSize(first, nodes);
    const running = await measure(ofWorker, { url: first, seconds });
    // Its messages stop, so that the next ones are measured alone.
    await worker.stop();
    const parsing = await measureClient(second, { nodes, seconds }, (data) => JSON.parse(data.toString()));
    const dropping = await measureClient(third, { nodes, seconds }, () => undefined);
    const restMs = (rest.processorMs / rest.wallMs) * running.wallMs;
    /** At the rate that was asked for, whatever the machine made of it. In percent of a core. */
    const shareOf = ({ processorMs, ticks }: Measured): number =>
      (processorMs / ticks / 10) * statesPerSecond;
    const cost = shareOf({ ...running, processorMs: running.processorMs - restMs });
    const unit = "% of a core";
    const note =
      `${statesPerSecond} messages of ${(nodes * 0.2).toFixed(0)} kB and as many short ones a second ` +
      `(${((running.ticks / running.wallMs) * 1_000).toFixed(0)} came); at rest the worker takes ` +
      `${((100 * rest.processorMs) / rest.wallMs).toFixed(1)} %`;
    return [
      { bench, figure: "one running job", value: cost, unit, reach: { atMost: 10 }, note },
      { bench, figure: "÷ a client that parses all", value: cost / shareOf(parsing), unit: "×" },
      { bench, figure: "a client that parses all", value: shareOf(parsing), unit },
      { bench, figure: "a client that drops all", value: shareOf(dropping), unit },
    ];
  } finally {
    for (const service of [worker, api, paced]) await service.stop();
    await services.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

interface Measured {
  processorMs: number;
  wallMs: number;
  /** Of the server: each is one large message and a short one. */
  ticks: number;
}

/** @param processorMs the processor time so far of what is measured */
async function measure(
  processorMs: () => Promise<number>,
  { url, seconds }: { url: string; seconds: number },
): Promise<Measured> {
  const before = { processorMs: await processorMs(), ticks: await ticksOf(url), at: performance.now() };
  await sleep(seconds * 1_000);
  return {
    processorMs: (await processorMs()) - before.processorMs,
    ticks: (await ticksOf(url)) - before.ticks,
    wallMs: performance.now() - before.at,
  };
}

/** Until all nodes but the last two have ended: from then on the messages have their full size. */
async function untilFullSize(url: string, nodes: number): Promise<void> {
  while ((await ticksOf(url)) < 2 * nodes) await sleep(200);
}

function ofThisProcess(): Promise<number> {
  const { user, system } = process.cpuUsage();
  return Promise.resolve((user + system) / 1_000);
}

/** The same messages for a plain client in this process. */
async function measureClient(
  url: string,
  { nodes, seconds }: { nodes: number; seconds: number },
  take: (data: Buffer) => unknown,
): Promise<Measured> {
  const clientId = crypto.randomUUID();
  const socket = new WebSocket(`${url.replace("http", "ws")}/ws?clientId=${clientId}`, {
    perMessageDeflate: false,
  });
  let messages = 0;
  socket.on("message", (data: Buffer) => {
    messages += 1;
    take(data);
  });
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  const body = { prompt_id: crypto.randomUUID(), client_id: clientId, prompt: chainOf(nodes, 2) };
  await fetch(`${url}/prompt`, { method: "POST", body: JSON.stringify(body) });
  await untilFullSize(url, nodes);
  const measured = await measure(ofThisProcess, { url, seconds });
  socket.terminate();
  if (messages < measured.ticks) throw new Error(`only ${messages} messages came`);
  return measured;
}

await runBenchmark(options, run);
