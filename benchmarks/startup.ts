/**
 * How long starting takes, measured from outside: `npm start` in a new data folder and again in the same folder, until it
 * serves, with the times of the parts as it tells them; and a worker, from its start until it claims a job that waits.
 *
 * npm run bench:startup [-- --rounds 5]
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { migrate } from "@genga/database";
import { startEmbeddedServices } from "@genga/embedded";
import { ApiClient, startServiceProcess, startSimulatorProcess, sleepWorkflow } from "@genga/testing";
import { z } from "zod";
import { median } from "./support/median.ts";
import { type Row } from "./support/row.ts";
import { count, runBenchmark } from "./support/run-benchmark.ts";
import { makeScratchFolder } from "./support/scratch-folder.ts";

const optionsSchema = z.object({ rounds: count.default(3) });

const quiet = (): void => undefined;
const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;

/** Runs `npm start` until it serves, and ends it. @returns how long that took, in ms */
async function startAll(dataDir: string): Promise<number> {
  const began = performance.now();
  const child = spawn("npm", ["start"], {
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], PORT: "0", DATA_DIR: dataDir },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = once(child, "exit");
  const lines: string[] = [];
  let servesMs = Number.NaN;
  for (const output of [child.stdout, child.stderr]) {
    createInterface({ input: output }).on("line", (line) => {
      lines.push(line);
      if (line !== "Serving until Ctrl-C.") return;
      servesMs = performance.now() - began;
      child.kill("SIGTERM");
    });
  }
  await exited;
  if (Number.isNaN(servesMs)) throw new Error(`npm start ended before it served:\n${lines.join("\n")}`);
  const parts = lines.filter((line) => / \d+\.\d s$/.test(line)).map((line) => `    ${line}`);
  console.log([`npm start served after ${seconds(servesMs)}`, ...parts].join("\n"));
  return servesMs;
}

/**
 * Starts a worker while a job waits. @returns how long it took until the worker claimed the job, in ms. The job's answer says
 * when: by the clock of this machine, on which the database runs as well.
 */
async function startToClaim(api: ApiClient, env: Record<string, string>): Promise<number> {
  const id = await api.submit({ type: "workflow", workflow: sleepWorkflow(0.1, { steps: 1 }) });
  const began = Date.now();
  const worker = await startServiceProcess({ entry: "apps/worker/src/main.ts", env });
  try {
    const { startedAt } = startedSchema.parse(await api.untilEnded(id));
    const claimedMs = startedAt.getTime() - began;
    console.log(`a worker claimed its first job after ${seconds(claimedMs)}`);
    return claimedMs;
  } finally {
    await worker.stop();
  }
}

const startedSchema = z.looseObject({ status: z.literal("completed"), startedAt: z.coerce.date() });

export async function run({ rounds }: z.infer<typeof optionsSchema>): Promise<Row[]> {
  const folder = await makeScratchFolder();
  const firstMs: number[] = [];
  const againMs: number[] = [];
  const claimedMs: number[] = [];
  try {
    for (let round = 0; round < rounds; round += 1) {
      const dataDir = join(folder, `start-${round}`);
      firstMs.push(await startAll(dataDir));
      againMs.push(await startAll(dataDir));
    }
    await withFarm(join(folder, "farm"), async (api, env) => {
      for (let round = 0; round < rounds; round += 1) claimedMs.push(await startToClaim(api, env));
    });
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
  const row = (figure: string, times: number[], atMost: number): Row => ({
    ...{ bench: "startup", figure, value: median(times) / 1_000, unit: "s" },
    ...{
      reach: { atMost },
      note: `${rounds} starts, ${seconds(Math.min(...times))} to ${seconds(Math.max(...times))}`,
    },
  });
  return [
    row("npm start in a new folder: until it serves", firstMs, 5),
    row("npm start again: until it serves", againMs, 5),
    row("worker: from start to first claim", claimedMs, 2),
  ];
}

/** An API and a simulator without a worker. */
async function withFarm(
  dataDir: string,
  use: (api: ApiClient, env: Record<string, string>) => Promise<void>,
): Promise<void> {
  const services = await startEmbeddedServices({ dataDir, report: quiet });
  const stops: (() => Promise<unknown>)[] = [() => services.stop()];
  try {
    await migrate({ databaseUrl: services.databaseUrl });
    const simulator = await startSimulatorProcess(["--port", "0", "--data-dir", join(dataDir, "comfyui")]);
    stops.push(() => simulator.stop());
    const env = {
      ...{ DATABASE_URL: services.databaseUrl, REDIS_URL: services.redisUrl, DATA_DIR: dataDir },
      ...{ COMFYUI_URLS: simulator.url, PORT: "0" },
    };
    const api = await startServiceProcess({ entry: "apps/api/src/main.ts", env });
    stops.push(() => api.stop());
    await use(new ApiClient(String(api.details["url"])), env);
  } finally {
    for (const stop of stops.reverse()) await stop();
  }
}

await runBenchmark(optionsSchema, run);
