import { rmSync } from "node:fs";
import path from "node:path";
import { startSimulator, type Simulator, type SimulatorOptions } from "../../src/index.ts";
import { isWithoutCustomNodes, type RecordedCase, type Recording } from "./recordings.ts";
import type { Target } from "./run-conformance.ts";

const FAST = { loadMs: 10, stepMs: 1, saveMs: 0 };

const BARE = { checkpoints: [], embeddings: [], controlnet: [] };

const OPTIONS: Readonly<Record<Recording["furnishing"], SimulatorOptions>> = {
  bare: { timing: FAST, models: BARE },
  models: {
    timing: FAST,
    models: { checkpoints: ["AOM3A1B.safetensors", "counterfeit_v3.safetensors"] },
  },
  "much-memory": { timing: FAST, models: BARE, cacheKeeps: "every-prompt" },
};

/** How the two recorders noted what they did to the server. */
const SIGNAL = /^(signal SIG(KILL|TERM|INT) sent|\(recorder\) SIG(KILL|TERM))$/;
const RESTART = /^(restarted|\(recorder\) (refused \d+ times, then answered|fresh server))/;

/** The simulator, a new one for each recording. */
export class SimulatorTarget implements Target {
  readonly name = "simulator";
  readonly silenceMs = 3_000;
  private readonly more: SimulatorOptions;
  private simulator: Simulator | undefined;
  private options: SimulatorOptions = {};

  /** @param more overrides what the recordings' server was like */
  constructor(more: SimulatorOptions = {}) {
    this.more = more;
  }

  async prepare({ version, furnishing }: Recording): Promise<string> {
    await this.stop();
    const api = version === "0.28" ? "0.28" : "0.3";
    this.options = { api, ...OPTIONS[furnishing], ...this.more };
    this.simulator = await startSimulator(this.options);
    return this.simulator.url;
  }

  async onNote(text: string): Promise<void> {
    const simulator = this.running();
    const deleted = /^deleted (.*)$/.exec(text)?.[1];
    if (deleted !== undefined) rmSync(path.join(simulator.outputDir, deleted));
    else if (SIGNAL.test(text)) await simulator.fault({ kind: "crash" });
    else if (RESTART.test(text)) await simulator.fault({ kind: "amnesia" });
    else if (text === "frozen") await simulator.fault({ kind: "freeze", ms: 2_000 });
  }

  async onCase({ name }: Recording, title: string, index: number): Promise<void> {
    const simulator = this.running();
    // Each case of this recording began on a server that had just started.
    if (name === "15-poison-prompts" && index > 0) await simulator.fault({ kind: "amnesia" });
    if (!isWithoutCustomNodes(title)) return;
    await simulator.stop();
    this.simulator = await startSimulator({ ...this.options, port: simulator.port, nodePacks: ["core"] });
  }

  skipCase({ name }: Recording, { title }: RecordedCase): string | undefined {
    if (name === "52-upload" && title === "mask") return "uploads of masks are left out of the simulator";
    return title.includes("VHS_latentpreview=true")
      ? "messages of custom node packs are left out of the simulator"
      : undefined;
  }

  async stop(): Promise<void> {
    await this.simulator?.stop();
    this.simulator = undefined;
  }

  private running(): Simulator {
    if (!this.simulator) throw new Error("no simulator has been prepared");
    return this.simulator;
  }
}
