/**
 * What Genga costs on top of a bare ComfyUI: 200 jobs of 50 ms on one simulator. A plain client posts all 200 at once
 * and waits for the last `executing {node: null}`; then Genga does the same 200 as one batch, with everything that it
 * promises (durable rows, leases, progress, outputs fetched and stored). Both take turns for some rounds, since other load
 * on the machine changes both. Prints the ratios.
 *
 * npm run bench:overhead [-- --jobs 200 --sleep-ms 50 --rounds 3]
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ComfyUIConnector, type Workflow } from "@genga/comfyui";
import { migrate } from "@genga/database";
import { startEmbeddedServices } from "@genga/embedded";
import { startServiceProcess } from "@genga/testing";
import { z } from "zod";

const { values } = parseArgs({
  options: {
    jobs: { type: "string", default: "200" },
    "sleep-ms": { type: "string", default: "50" },
    rounds: { type: "string", default: "3" },
  },
});
const jobs = Number(values.jobs);
const sleepMs = Number(values["sleep-ms"]);
const rounds = Number(values.rounds);

/** EmptyImage → sleep → SaveImage: each is different, so that nothing comes from the cache. */
function graph(run: string, index: number): Workflow {
  return {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: index } },
    "2": {
      class_type: "ProtoSleep",
      inputs: { image: ["1", 0], seconds: sleepMs / 1000, steps: 5, preview: "none", seed: index },
    },
    "3": { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: `${run}/${index}` } },
  };
}

async function plainClient(url: string, run: string): Promise<number> {
  const connector = new ComfyUIConnector({ baseUrl: url });
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
    }),
  );
  const wallMs = performance.now() - startedAt;
  await connector.close();
  return wallMs;
}

const acceptedSchema = z.object({ id: z.string() });
const batchSchema = z.object({ counts: z.record(z.string(), z.number()) });

async function genga(url: string, run: string): Promise<number> {
  const startedAt = performance.now();
  const response = await fetch(`${url}/api/anime/batches`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      jobs: Array.from({ length: jobs }, (_, index) => ({
        type: "workflow",
        workflow: graph(run, index),
      })),
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
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "genga-bench-"));
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
    PORT: "0",
    LOG_LEVEL: "warn",
  };
  const api = await startServiceProcess({ entry: "apps/api/src/main.ts", env });
  const worker = await startServiceProcess({ entry: "apps/worker/src/main.ts", env });
  try {
    const apiUrl = String(api.details["url"]);
    const floorMs = jobs * sleepMs;
    console.log(`${jobs} jobs of ${sleepMs} ms on one simulated server (the sleeping alone: ${floorMs} ms)`);
    await plainClient(simulatorUrl, "warm-up");
    await genga(apiUrl, "warm-up");
    const ratios: number[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      const plainMs = await plainClient(simulatorUrl, `plain-${round}`);
      const gengaMs = await genga(apiUrl, `genga-${round}`);
      ratios.push(plainMs / gengaMs);
      console.log(
        `round ${round}: plain client ${plainMs.toFixed(0)} ms, Genga ${gengaMs.toFixed(0)} ms, ` +
          `plain ÷ Genga ${(plainMs / gengaMs).toFixed(2)}`,
      );
    }
    console.log(`plain ÷ Genga, the median: ${median(ratios).toFixed(2)}`);
  } finally {
    for (const service of [worker, api, simulator]) await service.stop();
    await services.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

await main();
