/**
 * How long a server stands idle between two prompts while work waits, by the server's own clock: a simulated server logs the
 * begin and the end of each execution, to a millisecond. A client that posts all jobs at once shows the server's own gap, and
 * the figures are what Genga adds to it. Both take turns.
 *
 * npm run bench:idle-gap [-- --jobs 200 --sleep-ms 50 --rounds 3]
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Workflow } from "@genga/comfyui";
import { migrate } from "@genga/database";
import { startEmbeddedServices } from "@genga/embedded";
import { startServiceProcess } from "@genga/testing";
import { z } from "zod";
import { runGenga, runPlain } from "./support/both-ways.ts";
import { percentile } from "./support/percentile.ts";
import { type Row } from "./support/row.ts";
import { count, runBenchmark } from "./support/run-benchmark.ts";
import { makeScratchFolder } from "./support/scratch-folder.ts";

const optionsSchema = z.object({
  jobs: count.default(200),
  sleepMs: count.default(50),
  rounds: count.default(3),
});

const logged = z.object({
  executions: z.array(z.object({ event: z.enum(["started", "finished"]), at: z.iso.datetime() })),
});

/** Counts the executions that it has seen, so that each call returns the gaps of the last round. */
class GapReader {
  readonly #controlUrl: string;
  #seen = 0;

  constructor(controlUrl: string) {
    this.#controlUrl = controlUrl;
  }

  /** The milliseconds between the end of each execution since the last call and the begin of the next one. */
  async gaps(jobs: number): Promise<number[]> {
    const answer = await fetch(`${this.#controlUrl}/executions`);
    const all = logged.parse(await answer.json()).executions;
    const records = all.slice(this.#seen);
    this.#seen = all.length;
    if (records.length !== 2 * jobs) throw new Error(`${records.length / 2} executions instead of ${jobs}`);
    return records.flatMap(({ event, at }, index) => {
      const next = records[index + 1];
      if (event !== "finished" || next === undefined) return [];
      return [Date.parse(next.at) - Date.parse(at)];
    });
  }
}

export async function run({ jobs, sleepMs, rounds }: z.infer<typeof optionsSchema>): Promise<Row[]> {
  const graphs = (name: string): Workflow[] =>
    Array.from({ length: jobs }, (_, seed) => ({
      "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color: seed } },
      "2": {
        class_type: "ProtoSleep",
        inputs: { image: ["1", 0], seconds: sleepMs / 1000, steps: 5, preview: "none", seed },
      },
      "3": { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: `${name}/${seed}` } },
    }));
  const folder = await makeScratchFolder();
  const closings: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    const services = await startEmbeddedServices({ dataDir: folder, report: () => undefined });
    closings.unshift(() => services.stop());
    await migrate({ databaseUrl: services.databaseUrl });
    const simulator = await startServiceProcess({
      entry: "packages/comfyui-simulator/src/main.ts",
      args: ["--port", "0", "--data-dir", join(folder, "comfyui"), "--save-ms", "0", "--history-lag-ms", "0"],
      env: {},
      readyLine: /simulator listening on (?<url>\S+)/,
    });
    closings.unshift(() => simulator.stop());
    const controls = /controls on (?<url>[^,\s]+)/;
    const controlUrl = controls.exec(await simulator.line(controls))?.groups?.["url"] ?? "";
    const simulatorUrl = String(simulator.details["url"]);
    const env = {
      ...{ DATABASE_URL: services.databaseUrl, REDIS_URL: services.redisUrl, COMFYUI_URLS: simulatorUrl },
      ...{ DATA_DIR: folder, PORT: "0", LOG_LEVEL: "warn" },
    };
    const api = await startServiceProcess({ entry: "apps/api/src/main.ts", env });
    closings.unshift(() => api.stop());
    const worker = await startServiceProcess({ entry: "apps/worker/src/main.ts", env });
    closings.unshift(() => worker.stop());
    const apiUrl = String(api.details["url"]);
    const reader = new GapReader(controlUrl);
    await runGenga(apiUrl, graphs("warm-up"));
    await reader.gaps(jobs);
    const own: number[] = [];
    const ours: number[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      await runPlain(simulatorUrl, graphs(`plain-${round}`), { fetchesFiles: false });
      own.push(...(await reader.gaps(jobs)));
      await runGenga(apiUrl, graphs(`genga-${round}`));
      ours.push(...(await reader.gaps(jobs)));
    }
    return [
      { percent: 50, atMost: 1 },
      { percent: 99, atMost: 10 },
    ].map(({ percent, atMost }) => {
      const [ownMs, oursMs] = [percentile(own, percent), percentile(ours, percent)];
      const note = `${oursMs} ms with Genga, ${ownMs} ms the server's own; ${rounds} × ${jobs} jobs × ${sleepMs} ms`;
      const figure = `above the server's own gap, p${percent}`;
      return { bench: "idle gap", figure, value: oursMs - ownMs, unit: "ms", reach: { atMost }, note };
    });
  } finally {
    for (const close of closings) await close();
  }
}

await runBenchmark(optionsSchema, run);
