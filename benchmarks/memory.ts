/**
 * Whether API and worker grow with the jobs that they have seen: runs many jobs on servers that do nothing, and compares what
 * the processes hold after the last with what they held after the first tenth. Each time everything is completed and a
 * while has passed.
 *
 * npm run bench:memory [-- --jobs 100000 --servers 64]
 */
import { setTimeout as sleep } from "node:timers/promises";
import { ApiClient } from "@genga/testing";
import { z } from "zod";
import { median } from "./support/median.ts";
import { startNullFarm, type NullFarm } from "./support/null-farm.ts";
import { nullGraph } from "./support/null-graph.ts";
import { residentMb } from "./support/resident-memory.ts";
import { type Row } from "./support/row.ts";
import { count, runBenchmark } from "./support/run-benchmark.ts";
import { untilCompleted } from "./support/until-completed.ts";

const optionsSchema = z.object({ jobs: count.default(100_000), servers: count.default(64) });
const firstShare = 0.1;
const batchSize = 1_000;
const quietMs = 20_000;
const samples = 10;

interface Held {
  apiMb: number;
  workerMb: number;
}

/** In MB; the median of some seconds, since a process holds more for a moment before its garbage is collected. */
async function measureHeld({ api, worker }: NullFarm): Promise<Held> {
  await sleep(quietMs);
  const held: { api: number[]; worker: number[] } = { api: [], worker: [] };
  for (let sample = 0; sample < samples; sample += 1) {
    held.api.push(await residentMb(api.pid));
    held.worker.push(await residentMb(worker.pid));
    await sleep(1_000);
  }
  return { apiMb: median(held.api), workerMb: median(held.worker) };
}

/** Runs batches until so many jobs are completed in all. */
async function runUntil(api: ApiClient, from: number, to: number): Promise<void> {
  const startedAt = performance.now();
  for (let done = from; done < to; done += batchSize) {
    const length = Math.min(batchSize, to - done);
    const graphs = Array.from({ length }, (_, index) => nullGraph("memory", done + index));
    const { id } = await api.submitBatch(graphs.map((workflow) => ({ type: "workflow", workflow })));
    await untilCompleted(api, id, length);
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  console.log(`${to} jobs completed; ${((to - from) / seconds).toFixed(0)} a second`);
}

export async function run({ jobs, servers }: z.infer<typeof optionsSchema>): Promise<Row[]> {
  const farm = await startNullFarm({ servers });
  try {
    const api = new ApiClient(farm.apiUrl);
    const first = Math.ceil(jobs * firstShare);
    await runUntil(api, 0, first);
    const early = await measureHeld(farm);
    console.log(
      `after ${first} jobs: API ${early.apiMb.toFixed(0)} MB, worker ${early.workerMb.toFixed(0)} MB`,
    );
    await runUntil(api, first, jobs);
    const late = await measureHeld(farm);
    const row = (part: string, earlyMb: number, lateMb: number): Row => ({
      ...{ bench: "soak: memory", figure: `${part}: RSS after ${jobs} jobs ÷ after ${first}` },
      ...{ value: lateMb / earlyMb, unit: "×", reach: { atMost: 1.1 } },
      note: `${earlyMb.toFixed(0)} MB, then ${lateMb.toFixed(0)} MB`,
    });
    return [row("API", early.apiMb, late.apiMb), row("worker", early.workerMb, late.workerMb)];
  } finally {
    await farm.stop();
  }
}

await runBenchmark(optionsSchema, run);
