/**
 * What Genga costs on top of a bare ComfyUI: 200 jobs of 50 ms on one simulator. A plain client posts all 200 at once
 * and waits for the last `executing {node: null}`; then Genga does the same 200 as one batch, with everything that it
 * promises (durable rows, leases, progress, outputs fetched and stored); and then the plain client once more, which also fetches
 * the files, through the port that speaks ComfyUI's own protocol (the row `door`). They take turns for some rounds, since other
 * load on the machine changes all. Prints the ratios.
 *
 * npm run bench:overhead [-- --jobs 200 --sleep-ms 50 --rounds 3]
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Workflow } from "@genga/comfyui";
import { migrate } from "@genga/database";
import { startEmbeddedServices } from "@genga/embedded";
import { startServiceProcess } from "@genga/testing";
import { z } from "zod";
import { runGenga, runPlain, warmUp } from "./support/both-ways.ts";
import { median } from "./support/median.ts";
import { type Row } from "./support/row.ts";
import { count, runBenchmark } from "./support/run-benchmark.ts";
import { makeScratchFolder } from "./support/scratch-folder.ts";

const optionsSchema = z.object({
  jobs: count.default(200),
  sleepMs: count.default(50),
  rounds: count.default(3),
});

/** EmptyImage → sleep → SaveImage: each is different, so that nothing comes from the cache. */
function graph(run: string, index: number, sleepMs: number): Workflow {
  return {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: index } },
    "2": {
      class_type: "ProtoSleep",
      inputs: { image: ["1", 0], seconds: sleepMs / 1000, steps: 5, preview: "none", seed: index },
    },
    "3": { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: `${run}/${index}` } },
  };
}

export async function run({ jobs, sleepMs, rounds }: z.infer<typeof optionsSchema>): Promise<Row[]> {
  const graphs = (name: string, ms = sleepMs): Workflow[] =>
    Array.from({ length: jobs }, (_, index) => graph(name, index, ms));
  const folder = await makeScratchFolder();
  const services = await startEmbeddedServices({ dataDir: folder, report: () => undefined });
  await migrate({ databaseUrl: services.databaseUrl });
  const simulator = await startServiceProcess({
    entry: "packages/comfyui-simulator/src/main.ts",
    args: ["--port", "0", "--data-dir", join(folder, "comfyui"), "--save-ms", "0", "--history-lag-ms", "0"],
    env: {},
    readyLine: /simulator listening on (?<url>\S+)/,
  });
  const simulatorUrl = String(simulator.details["url"]);
  const env = {
    DATABASE_URL: services.databaseUrl,
    REDIS_URL: services.redisUrl,
    COMFYUI_URLS: simulatorUrl,
    DATA_DIR: folder,
    ...{ PORT: "0", COMFYUI_DOOR_PORT: "0", LOG_LEVEL: "warn" },
  };
  const api = await startServiceProcess({ entry: "apps/api/src/main.ts", env });
  const worker = await startServiceProcess({ entry: "apps/worker/src/main.ts", env });
  try {
    const apiUrl = String(api.details["url"]);
    const doorUrl = String(api.details["doorUrl"]);
    const floorMs = jobs * sleepMs;
    console.log(`${jobs} jobs of ${sleepMs} ms on one simulated server (the sleeping alone: ${floorMs} ms)`);
    const urls = { comfyUrl: simulatorUrl, apiUrl, doorUrl };
    await warmUp(urls, (name) => graphs(name, 1), false);
    const ratios: number[] = [];
    const doorRatios: number[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      const plainMs = await runPlain(simulatorUrl, graphs(`plain-${round}`), { fetchesFiles: false });
      const gengaMs = await runGenga(apiUrl, graphs(`genga-${round}`));
      const doorMs = await runPlain(doorUrl, graphs(`door-${round}`), { fetchesFiles: true });
      ratios.push(plainMs / gengaMs);
      doorRatios.push(gengaMs / doorMs);
      console.log(
        `round ${round}: plain client ${plainMs.toFixed(0)} ms, Genga ${gengaMs.toFixed(0)} ms, ` +
          `plain ÷ Genga ${(plainMs / gengaMs).toFixed(2)}; through the door ${doorMs.toFixed(0)} ms`,
      );
    }
    const shared = { unit: "×", note: `${jobs} jobs × ${sleepMs} ms, median of ${rounds}` };
    return [
      {
        ...{ bench: "overhead", figure: "plain ÷ Genga", value: median(ratios) },
        ...{ reach: { atLeast: 0.98 }, ...shared },
      },
      {
        ...{ bench: "door", figure: `jobs of ${sleepMs} ms: Genga ÷ the plain client through the door` },
        ...{ value: median(doorRatios), reach: { atLeast: 0.9 }, ...shared },
      },
    ];
  } finally {
    for (const service of [worker, api, simulator]) await service.stop();
    await services.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

await runBenchmark(optionsSchema, run);
