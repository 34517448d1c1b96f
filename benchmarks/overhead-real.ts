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
import { parseArgs } from "node:util";
import { type Workflow } from "@genga/comfyui";
import { migrate } from "@genga/database";
import { startEmbeddedServices } from "@genga/embedded";
import { startServiceProcess } from "@genga/testing";
import { z } from "zod";
import { runGenga, runPlain } from "./support/both-ways.ts";
import { median } from "./support/median.ts";
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

function graphs(run: string): Workflow[] {
  return Array.from({ length: jobs }, (_, index) => graph(run, index));
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
    await runPlain(comfyUrl, graphs("warm-up"), { fetchesFiles: true });
    await runGenga(apiUrl, graphs("warm-up"));
    const ratios: number[] = [];
    const bounds: number[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      const plainMs = await runPlain(comfyUrl, graphs(`plain-${round}`), { fetchesFiles: true });
      const before = await processorMsOf(pids, databases);
      const gengaMs = await runGenga(apiUrl, graphs(`genga-${round}`));
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
