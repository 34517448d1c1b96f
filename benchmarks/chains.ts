/**
 * A night's work in one request: a batch of chains key frame → video → upscale, each step reading the output of the one
 * before, while workers are killed twice. Downloads the last picture of every chain and compares its size and colour, so
 * a chain that lost or mixed up a step is found. Prints times, attempts and executions. Ends with 1 if a chain is not whole.
 *
 * npm run trial:chains [-- --chains 2000 --servers 4 --workers 2 --kills 2]
 */
import { rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { migrate } from "@genga/database";
import { startEmbeddedServices } from "@genga/embedded";
import { ApiClient, startStack, type Stack } from "@genga/testing";
import sharp from "sharp";
import { endChildrenOnSignals } from "./support/end-children.ts";
import { makeScratchFolder } from "./support/scratch-folder.ts";

const { values } = parseArgs({
  options: {
    chains: { type: "string", default: "2000" },
    servers: { type: "string", default: "4" },
    workers: { type: "string", default: "2" },
    kills: { type: "string", default: "2" },
  },
});
const chains = Number(values.chains);
const servers = Number(values.servers);
const workers = Number(values.workers);
const kills = Number(values.kills);
const batchMax = 10_000;

const load = (from: string): object => ({
  class_type: "LoadImage",
  inputs: { image: { $output: { from, output: 0 } } },
});
const save = (from: string): object => ({
  class_type: "SaveImage",
  inputs: { images: [from, 0], filename_prefix: "chain" },
});

/** The three steps of one chain. The last one comes first: a batch may name its jobs in any order. */
function chain(place: number): object[] {
  const upscale = {
    "1": load(`clip ${place}`),
    "2": {
      class_type: "ImageScaleBy",
      inputs: { image: ["1", 0], upscale_method: "nearest-exact", scale_by: 2 },
    },
    "3": save("2"),
  };
  const clip = { filename_prefix: "clip", fps: 8, lossless: true, quality: 80, method: "default" };
  const video = {
    "1": load(`key ${place}`),
    "2": { class_type: "RepeatImageBatch", inputs: { image: ["1", 0], amount: 2 } },
    "3": { class_type: "SaveAnimatedWEBP", inputs: { images: ["2", 0], ...clip } },
  };
  const keyFrame = {
    "1": {
      class_type: "EmptyImage",
      inputs: { width: 64, height: 48, batch_size: 1, color: colorOf(place) },
    },
    "2": save("1"),
  };
  return [
    { type: "workflow", key: `large ${place}`, workflow: upscale },
    { type: "workflow", key: `clip ${place}`, workflow: video },
    { type: "workflow", key: `key ${place}`, workflow: keyFrame },
  ];
}
const steps = 3;

/** A colour of its own for each chain. */
function colorOf(place: number): number {
  return (place * 8_191 + 0x10_20_30) % 0x1_00_00_00;
}

interface Batch {
  id: string;
  jobIds: string[];
}

class Trial {
  readonly #stack: Stack;
  readonly #api: ApiClient;
  readonly #startedAt = performance.now();

  constructor(stack: Stack) {
    this.#stack = stack;
    this.#api = new ApiClient(stack.url);
  }

  /** @returns how many chains are not whole */
  async run(): Promise<number> {
    const batches = await this.#submit();
    for (let kill = 1; kill <= kills; kill += 1) {
      await this.#untilCompleted(batches, (kill / (kills + 1)) * chains * steps);
      await this.#killWorker();
    }
    await this.#untilCompleted(batches, chains * steps);
    this.#say("every job completed");
    const broken = await this.#brokenChains(batches.flatMap(({ jobIds }) => jobIds));
    const executions = (
      await Promise.all(this.#stack.simulators.map((server) => server.executions()))
    ).flat();
    const repeated = executions.length - new Set(executions).size;
    this.#say(
      `${chains - broken} of ${chains} chains whole; ${executions.length} executions of ${chains * steps} jobs, ` +
        `${repeated} prompts executed twice`,
    );
    return broken + repeated;
  }

  async #submit(): Promise<Batch[]> {
    const batches: Batch[] = [];
    const chainsOfBatch = Math.floor(batchMax / steps);
    for (let from = 0; from < chains; from += chainsOfBatch) {
      const length = Math.min(chainsOfBatch, chains - from);
      const jobs = Array.from({ length }, (_, index) => chain(from + index)).flat();
      batches.push(await this.#api.submitBatch(jobs));
      this.#say(`${jobs.length} jobs accepted in one request`);
    }
    return batches;
  }

  /** @throws Error when a job ends without success */
  async #untilCompleted(batches: readonly Batch[], least: number): Promise<void> {
    for (;;) {
      const all = await Promise.all(batches.map(({ id }) => this.#api.batch(id)));
      const count = (status: string): number =>
        all.reduce((sum, { counts }) => sum + (counts[status] ?? 0), 0);
      const lost = count("failed") + count("timeout") + count("cancelled");
      if (lost > 0) throw new Error(`${lost} jobs ended without success`);
      if (count("completed") >= least) return;
      await sleep(200);
    }
  }

  async #killWorker(): Promise<void> {
    const [victim] = this.#stack.workers.splice(0, 1);
    victim?.signal("SIGKILL");
    this.#say("a worker killed");
    await this.#stack.startWorker();
  }

  async #brokenChains(jobIds: readonly string[]): Promise<number> {
    let broken = 0;
    const places = Array.from({ length: chains }, (_, place) => place);
    const check = async (): Promise<void> => {
      for (let place = places.pop(); place !== undefined; place = places.pop()) {
        const [expected, found] = [
          `128 × 96, ${colorOf(place)}`,
          await this.#pictureOf(jobIds[place * steps] ?? ""),
        ];
        if (expected === found) continue;
        broken += 1;
        this.#say(`chain ${place}: expected ${expected}, found ${found}`);
      }
    };
    await Promise.all(Array.from({ length: 4 }, check));
    return broken;
  }

  async #pictureOf(jobId: string): Promise<string> {
    const [output, ...others] = await this.#api.outputs(jobId);
    if (output === undefined || others.length > 0) return `${others.length + (output ? 1 : 0)} outputs`;
    const picture = sharp(await this.#api.download(output.id));
    const { width, height } = await picture.metadata();
    const [red = 0, green = 0, blue = 0] = await picture.raw().toBuffer();
    return `${width} × ${height}, ${red * 0x1_00_00 + green * 0x1_00 + blue}`;
  }

  #say(what: string): void {
    console.log(`${((performance.now() - this.#startedAt) / 1_000).toFixed(1).padStart(6)} s  ${what}`);
  }
}

async function main(): Promise<void> {
  const folder = await makeScratchFolder("genga-trial-");
  const services = await startEmbeddedServices({ dataDir: folder, report: () => undefined });
  await migrate({ databaseUrl: services.databaseUrl });
  process.env["TEST_REDIS_URL"] = services.redisUrl;
  try {
    const stack = await startStack({ databaseUrl: services.databaseUrl, simulators: servers, workers });
    const broken = await new Trial(stack).run().finally(() => stack.stop());
    if (broken > 0) process.exitCode = 1;
  } finally {
    await services.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

endChildrenOnSignals();
await main();
