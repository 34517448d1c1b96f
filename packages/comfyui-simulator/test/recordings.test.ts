import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { rmSync } from "node:fs";
import path from "node:path";
import { startSimulator, type Simulator, type SimulatorOptions } from "../src/index.ts";
import { readRecording } from "./replay/recording.ts";
import { replayRecording } from "./replay/replay-recording.ts";

const FAST = { loadMs: 10, stepMs: 1, saveMs: 0 };

/** The model files of the two servers on which the recordings were made. */
const NO_MODELS: SimulatorOptions = { timing: FAST, models: { checkpoints: [], embeddings: [] } };
const SD15_MODELS: SimulatorOptions = {
  timing: FAST,
  models: { checkpoints: ["AOM3A1B.safetensors", "counterfeit_v3.safetensors"] },
};

/** Requests that are left out: bodies of 101 MiB, which the protocol tests cover with a smaller limit. */
const TOO_LARGE = new Set([112, 113]);

/** Where a recording shows more than the server's behaviour. */
const KNOWN_DIFFERENCES = [
  // A file was there from an earlier recording.
  /GET \/object_info\/LoadImage body\.LoadImage\.input\.required\.image\[0\]/,
  // The recording was shortened here.
  /GET \/system_stats body\.system: keys argv,comfyui_version,python_version/,
];

async function differences(simulator: Simulator, name: string, silenceMs = 8_000): Promise<string[]> {
  const events = readRecording(new URL(`./recordings/${name}.json`, import.meta.url));
  const found = await replayRecording(simulator.url, events, {
    silenceMs,
    skip: name === "12-http-api" ? TOO_LARGE : new Set(),
    onNote: (text) => {
      const deleted = /^deleted (.*)$/.exec(text)?.[1];
      if (deleted !== undefined) rmSync(path.join(simulator.outputDir, deleted));
      return Promise.resolve();
    },
  });
  return found.filter((text) => !KNOWN_DIFFERENCES.some((known) => known.test(text)));
}

describe("the simulator answers like the recorded server", () => {
  test.each(["02-success", "03-cached", "04-validation", "12-http-api", "18-stale-socket"])(
    "in %s",
    async (name) => {
      const simulator = await startSimulator(NO_MODELS);
      try {
        expect(await differences(simulator, name)).toEqual([]);
      } finally {
        await simulator.stop();
      }
    },
    30_000,
  );
});

describe("the simulator answers like the recorded server, which keeps its cache from one recording to the next", () => {
  let simulator: Simulator;

  beforeAll(async () => {
    simulator = await startSimulator(SD15_MODELS);
  });
  afterAll(async () => {
    await simulator.stop();
  });

  test.each(["20-sd15-image", "21-sd15-image-cached-model", "24-core-video", "25-vhs-video", "28-oom"])(
    "in %s",
    async (name) => {
      expect(await differences(simulator, name)).toEqual([]);
    },
    60_000,
  );
});

test("the comparison notices a server that behaves differently", async () => {
  const simulator = await startSimulator({ ...NO_MODELS, models: { checkpoints: ["x.safetensors"] } });
  try {
    const found = await differences(simulator, "04-validation", 200);
    expect(found.some((text) => text.startsWith("model loader with a model file that is not there"))).toBe(
      true,
    );
  } finally {
    await simulator.stop();
  }
}, 30_000);
