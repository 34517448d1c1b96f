/**
 * What Genga costs on top of a real ComfyUI: jobs of EmptyImage → ImageScale → SaveImage, which take that server a few
 * milliseconds each, so that everything but rendering counts. A plain client posts all jobs at once, waits for their ends and fetches
 * the same files; then Genga does the same jobs as one batch. They take turns for some rounds, since other load on the
 * machine changes both. Prints plain ÷ Genga, and beside it the bound that the processors set: plain wall ÷ the larger
 * of plain wall and (all processor time of Genga's run, the server's included) ÷ cores. The latter needs Linux, and
 * the process id of the ComfyUI if that runs on this machine.
 *
 * COMFYUI_URL=http://127.0.0.1:8188 npm run bench:overhead-real [-- --jobs 200 --rounds 3 --server-pid 1234]
 */
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { ComfyUIConnector, type Workflow } from "@genga/comfyui";
import { migrate } from "@genga/database";
import { startEmbeddedServices } from "@genga/embedded";
import { startServiceProcess } from "@genga/testing";
import { z } from "zod";
import { processorMsOf } from "./support/processor-time.ts";

const { values } = parseArgs({
  options: {
    jobs: { type: "string", default: "200" },
    rounds: { type: "string", default: "3" },
    "server-pid": { type: "string" },
  },
});
const jobs = Number(values.jobs);
const rounds = Number(values.rounds);
const serverPid = values["server-pid"] === undefined ? null : Number(values["server-pid"]);
const comfyUrl = z
  .url({ error: "Set COMFYUI_URL to the address of a ComfyUI." })
  .parse(process.env["COMFYUI_URL"]);

/** Each is different, so that nothing comes from the server's cache. */
function graph(run: string, index: number): Workflow {
  const color = Math.floor(Math.random() * 0xffffff);
  return {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color } },
    "2": {
      class_type: "ImageScale",
      inputs: { image: ["1", 0], upscale_method: "nearest-exact", width: 128, height: 128, crop: "disabled" },
    },
    "3": { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: `bench-${run}/${index}` } },
  };
}

/** @returns milliseconds */
async function plainClient(run: string): Promise<number> {
  const connector = new ComfyUIConnector({ baseUrl: comfyUrl });
  await connector.connect();
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: jobs }, async (_, index) => {
      const promptId = crypto.randomUUID();
      await connector.submit({ promptId, workflow: graph(run, index), timeoutMs: 60_000 });
      for await (const event of connector.watch(promptId)) {
        if (event.type === "settled" && event.lookup.state !== "finished")
          throw new Error(event.lookup.state);
      }
      for (const output of await connector.getJobOutputs(promptId)) {
        if (output.kind !== "file") continue;
        const { body } = await connector.downloadOutput(output);
        if ((await buffer(body)).length === 0) throw new Error("an empty file");
      }
    }),
  );
  const wallMs = performance.now() - startedAt;
  await connector.close();
  return wallMs;
}

const acceptedSchema = z.object({ id: z.string() });
const batchSchema = z.object({ counts: z.record(z.string(), z.number()) });

/** @returns milliseconds */
async function genga(url: string, run: string): Promise<number> {
  const startedAt = performance.now();
  const response = await fetch(`${url}/api/anime/batches`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      jobs: Array.from({ length: jobs }, (_, index) => ({ type: "workflow", workflow: graph(run, index) })),
    }),
  });
  if (response.status !== 202) throw new Error(`${response.status} ${await response.text()}`);
  const { id } = acceptedSchema.parse(await response.json());
  for (;;) {
    const answer = await fetch(`${url}/api/anime/batches/${id}`);
    const { counts } = batchSchema.parse(await answer.json());
    if (counts["completed"] === jobs) return performance.now() - startedAt;
    if ((counts["queued"] ?? 0) + (counts["processing"] ?? 0) + (counts["completed"] ?? 0) < jobs) {
      throw new Error(`some jobs failed: ${JSON.stringify(counts)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

/** The names of their programs. */
const databases = ["postgres", "valkey-server", "redis-server"];

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "genga-bench-"));
  const services = await startEmbeddedServices({ dataDir: folder, report: () => undefined });
  await migrate({ databaseUrl: services.databaseUrl });
  const env = {
    DATABASE_URL: services.databaseUrl,
    REDIS_URL: services.redisUrl,
    COMFYUI_URLS: comfyUrl,
    DATA_DIR: folder,
    PORT: "0",
    LOG_LEVEL: "warn",
  };
  const api = await startServiceProcess({ entry: "apps/api/src/main.ts", env });
  const worker = await startServiceProcess({ entry: "apps/worker/src/main.ts", env });
  // PostgreSQL and Redis descend from this process, too.
  const pids = new Map([
    [process.pid, "client"],
    [worker.pid, "worker"],
    [api.pid, "API"],
  ]);
  if (serverPid !== null) pids.set(serverPid, "ComfyUI");
  try {
    const apiUrl = String(api.details["url"]);
    await plainClient("warm-up");
    await genga(apiUrl, "warm-up");
    const ratios: number[] = [];
    const bounds: number[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      const plainMs = await plainClient(`plain-${round}`);
      const before = await processorMsOf(pids, databases);
      const gengaMs = await genga(apiUrl, `genga-${round}`);
      const after = await processorMsOf(pids, databases);
      const ratio = plainMs / gengaMs;
      ratios.push(ratio);
      console.log(
        `round ${round}: plain ${plainMs.toFixed(0)} ms, Genga ${gengaMs.toFixed(0)} ms, plain ÷ Genga ${ratio.toFixed(2)}`,
      );
      if (after.size === 0) continue;
      const used = [...after].map(([name, ms]) => [name, ms - (before.get(name) ?? 0)] as const);
      const processorMs = used.reduce((sum, [, ms]) => sum + ms, 0);
      const bound = plainMs / Math.max(plainMs, processorMs / availableParallelism());
      bounds.push(bound);
      const shares = used.map(([name, ms]) => `${name} ${(ms / jobs).toFixed(1)}`).join(", ");
      console.log(
        `  processor ms a job on ${availableParallelism()} cores: ${shares}; so at most ${bound.toFixed(2)}`,
      );
    }
    console.log(`${jobs} jobs on ${comfyUrl}, medians of ${rounds} rounds`);
    console.log(`plain ÷ Genga:                     ${median(ratios).toFixed(2)}`);
    if (bounds.length > 0) console.log(`the bound that the processors set: ${median(bounds).toFixed(2)}`);
  } finally {
    for (const service of [worker, api]) await service.stop();
    await services.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

await main();
