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
const lookEveryMs = 200;

interface Held {
  apiMb: number;
  workerMb: number;
  apiHeapMb: number;
  workerHeapMb: number;
}

/** In MB; the median of some seconds, since a process holds more for a moment before its garbage is collected. */
async function measureResident({ api, worker }: NullFarm): Promise<Pick<Held, "apiMb" | "workerMb">> {
  await sleep(quietMs);
  const held: { api: number[]; worker: number[] } = { api: [], worker: [] };
  for (let sample = 0; sample < samples; sample += 1) {
    held.api.push(await residentMb(api.pid));
    held.worker.push(await residentMb(worker.pid));
    await sleep(1_000);
  }
  return { apiMb: median(held.api), workerMb: median(held.worker) };
}

/** While the jobs run: right after a collection little but what is alive is in use. In MB. */
async function leastHeapsWhile(
  farm: NullFarm,
  run: () => Promise<void>,
): Promise<Pick<Held, "apiHeapMb" | "workerHeapMb">> {
  const least = { apiHeapMb: Infinity, workerHeapMb: Infinity };
  const statusUrl = new URL(String(farm.worker.details["health"])).origin;
  const done = new AbortController();
  const look = async (): Promise<void> => {
    while (!done.signal.aborted) {
      least.apiHeapMb = Math.min(least.apiHeapMb, await heapInUseMb(farm.apiUrl));
      least.workerHeapMb = Math.min(least.workerHeapMb, await heapInUseMb(statusUrl));
      await sleep(lookEveryMs);
    }
  };
  await Promise.all([
    run().finally(() => {
      done.abort();
    }),
    look(),
  ]);
  return least;
}

async function heapInUseMb(url: string): Promise<number> {
  const response = await fetch(`${url}/metrics`);
  const bytes = /^nodejs_heap_size_used_bytes\S* (\S+)$/m.exec(await response.text())?.[1];
  if (bytes === undefined) throw new Error(`${url}/metrics does not say how much of the heap is in use.`);
  return Number(bytes) / 1_024 ** 2;
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
    const measureAfter = async (from: number, to: number): Promise<Held> => {
      // Looked at in the last jobs alone, as many each time.
      const last = Math.max(from, to - Math.ceil(first / 2));
      await runUntil(api, from, last);
      const heaps = await leastHeapsWhile(farm, () => runUntil(api, last, to));
      const held = { ...heaps, ...(await measureResident(farm)) };
      const said = Object.entries(held).map(([part, mb]) => `${part} ${mb.toFixed(0)}`);
      console.log(`after ${to} jobs: ${said.join(", ")}`);
      return held;
    };
    const early = await measureAfter(0, first);
    const late = await measureAfter(first, jobs);
    const row = (figure: string, of: keyof Held, reach?: Row["reach"]): Row => ({
      ...{ bench: "soak: memory", figure: `${figure} after ${jobs} jobs ÷ after ${first}`, unit: "×" },
      ...{ value: late[of] / early[of], ...(reach && { reach }) },
      note: `${early[of].toFixed(0)} MB, then ${late[of].toFixed(0)} MB`,
    });
    return [
      row("API: RSS", "apiMb", { atMost: 1.1 }),
      row("worker: RSS", "workerMb", { atMost: 1.1 }),
      row("API: least heap in use", "apiHeapMb"),
      row("worker: least heap in use", "workerHeapMb"),
    ];
  } finally {
    await farm.stop();
  }
}

await runBenchmark(optionsSchema, run);
