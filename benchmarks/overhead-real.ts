/**
 * What Genga costs on top of a real ComfyUI: jobs of EmptyImage → ImageScale → SaveImage, which take that server a few
 * milliseconds each, so that everything but rendering counts. A plain client posts all jobs at once, waits for their ends and fetches
 * the same files; then Genga does the same jobs as one batch. They take turns for some rounds, since other load on the
 * machine changes both. Prints plain ÷ Genga, and beside it the bound that the processors set: plain wall ÷ the larger
 * of plain wall and (all processor time of Genga's run, the server's included) ÷ cores. The latter needs
 * Linux and a ComfyUI on this machine. In the same rounds the plain client does them once more, through the port that speaks
 * ComfyUI's own protocol (the row `door`).
 *
 * COMFYUI_URL=http://127.0.0.1:8188 npm run bench:overhead-real [-- --jobs 200 --rounds 3]
 */
import { rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { type Workflow } from "@genga/comfyui";
import { migrate } from "@genga/database";
import { startEmbeddedServices } from "@genga/embedded";
import { startServiceProcess } from "@genga/testing";
import { z } from "zod";
import { runGenga, runPlain, warmUp } from "./support/both-ways.ts";
import { processListeningOn } from "./support/listening-process.ts";
import { median } from "./support/median.ts";
import { processorMsOf } from "./support/processor-time.ts";
import { type Row } from "./support/row.ts";
import { count, runBenchmark } from "./support/run-benchmark.ts";
import { makeScratchFolder } from "./support/scratch-folder.ts";

const optionsSchema = z.object({
  jobs: count.default(200),
  rounds: count.default(3),
  serverPid: count.optional(),
});

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

/** The names of their programs. */
const databases = ["postgres", "valkey-server", "redis-server"];

/** @param bounds of the rounds, as many as ratios, or none if they could not be measured */
function rowsOf(ratios: readonly number[], bounds: readonly number[], note: string): Row[] {
  const row = (figure: string, value: number): Row => ({
    ...{ bench: "overhead, real", figure, value, unit: "×" },
  });
  if (bounds.length === 0) {
    const why = "no bound: it needs Linux, and a ComfyUI on this machine";
    return [{ ...row("plain ÷ Genga", median(ratios)), note: `${note}; ${why}` }];
  }
  const shares = ratios.map((ratio, round) => ratio / (bounds[round] ?? NaN));
  return [
    { ...row("(plain ÷ Genga) ÷ bound of the processors", median(shares)), reach: { atLeast: 0.85 }, note },
    row("plain ÷ Genga", median(ratios)),
    row("bound of the processors", median(bounds)),
  ];
}

export async function run({ jobs, rounds, ...options }: z.infer<typeof optionsSchema>): Promise<Row[]> {
  const comfyUrl = z
    .url({ error: "Set COMFYUI_URL to the address of a ComfyUI." })
    .parse(process.env["COMFYUI_URL"]);
  const serverPid = options.serverPid ?? (await processListeningOn(comfyUrl));
  const graphs = (name: string): Workflow[] => Array.from({ length: jobs }, (_, index) => graph(name, index));
  const folder = await makeScratchFolder();
  const services = await startEmbeddedServices({ dataDir: folder, report: () => undefined });
  await migrate({ databaseUrl: services.databaseUrl });
  const env = {
    DATABASE_URL: services.databaseUrl,
    REDIS_URL: services.redisUrl,
    COMFYUI_URLS: comfyUrl,
    DATA_DIR: folder,
    ...{ PORT: "0", COMFYUI_DOOR_PORT: "0", LOG_LEVEL: "warn" },
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
    const doorUrl = String(api.details["doorUrl"]);
    await warmUp({ comfyUrl, apiUrl, doorUrl }, graphs, true);
    const doorRatios: number[] = [];
    const ratios: number[] = [];
    const bounds: number[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      const plainMs = await runPlain(comfyUrl, graphs(`plain-${round}`), { fetchesFiles: true });
      const before = await processorMsOf(pids, databases);
      const gengaMs = await runGenga(apiUrl, graphs(`genga-${round}`));
      const after = await processorMsOf(pids, databases);
      const ratio = plainMs / gengaMs;
      const doorMs = await runPlain(doorUrl, graphs(`door-${round}`), { fetchesFiles: true });
      ratios.push(ratio);
      doorRatios.push(gengaMs / doorMs);
      console.log(
        `round ${round}: plain ${plainMs.toFixed(0)} ms, Genga ${gengaMs.toFixed(0)} ms, plain ÷ Genga ${ratio.toFixed(2)}; through the door ${doorMs.toFixed(0)} ms`,
      );
      if (after.size === 0 || serverPid === null) continue;
      const used = [...after].map(([name, ms]) => [name, ms - (before.get(name) ?? 0)] as const);
      const processorMs = used.reduce((sum, [, ms]) => sum + ms, 0);
      const bound = plainMs / Math.max(plainMs, processorMs / availableParallelism());
      bounds.push(bound);
      const shares = used.map(([name, ms]) => `${name} ${(ms / jobs).toFixed(1)}`).join(", ");
      console.log(
        `  processor ms a job on ${availableParallelism()} cores: ${shares}; so at most ${bound.toFixed(2)}`,
      );
    }
    const note = `${jobs} jobs, ${rounds} rounds`;
    return [
      ...rowsOf(ratios, bounds, note),
      {
        ...{ bench: "door", figure: "Genga ÷ the plain client through the door", unit: "×", note },
        ...{ value: median(doorRatios), reach: { atLeast: 0.9 } },
      },
    ];
  } finally {
    for (const service of [worker, api]) await service.stop();
    await services.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

await runBenchmark(optionsSchema, run);
