import { rmSync } from "node:fs";
import path from "node:path";
import { startSimulator, type Simulator, type SimulatorOptions } from "../../src/index.ts";
import { deedOf } from "./notes.ts";
import { isWithoutCustomNodes, type RecordedCase, type Recording } from "./recordings.ts";
import { type Target } from "./run-conformance.ts";

const fast = { loadMs: 10, stepMs: 1, saveMs: 0 };

const noModels = { checkpoints: [], embeddings: [], controlnet: [] };

const optionsByFurnishing: Readonly<Record<Recording["furnishing"], SimulatorOptions>> = {
  bare: { timing: fast, models: noModels },
  models: {
    timing: fast,
    models: { checkpoints: ["AOM3A1B.safetensors", "counterfeit_v3.safetensors"] },
  },
  "much-memory": { timing: fast, models: noModels, cacheKeeps: "every-prompt" },
};

/** A simulator like the server of a recording. */
export function simulatorOptionsFor({ version, furnishing }: Recording): SimulatorOptions {
  return { api: version === "0.28" ? "0.28" : "0.3", ...optionsByFurnishing[furnishing] };
}

/** How long the recorded server was stopped between "frozen" and "continued". */
const frozenMs = 2_000;

/** The simulator, a new one for each recording. */
export class SimulatorTarget implements Target {
  readonly name = "simulator";
  readonly silenceMs = 3_000;
  readonly #more: SimulatorOptions;
  #simulator: Simulator | undefined;
  #options: SimulatorOptions = {};

  /** @param more overrides what the recordings' server was like */
  constructor(more: SimulatorOptions = {}) {
    this.#more = more;
  }

  async prepare(recording: Recording): Promise<string> {
    await this.stop();
    this.#options = { ...simulatorOptionsFor(recording), ...this.#more };
    this.#simulator = await startSimulator(this.#options);
    return this.#simulator.url;
  }

  async onNote(text: string): Promise<void> {
    const simulator = this.#running();
    const deed = deedOf(text);
    if (deed?.kind === "delete") rmSync(path.join(simulator.outputDir, deed.file));
    if (deed?.kind === "restart") await simulator.fault({ kind: "amnesia" });
    if (deed?.kind !== "signal" || deed.name === "CONT") return;
    await simulator.fault(deed.name === "STOP" ? { kind: "freeze", ms: frozenMs } : { kind: "crash" });
  }

  async onCase({ name }: Recording, title: string, index: number): Promise<void> {
    const simulator = this.#running();
    // Each case of this recording began on a server that had just started.
    if (name === "15-poison-prompts" && index > 0) await simulator.fault({ kind: "amnesia" });
    if (!isWithoutCustomNodes(title)) return;
    await simulator.stop();
    this.#simulator = await startSimulator({ ...this.#options, port: simulator.port, nodePacks: ["core"] });
  }

  skipCase({ name }: Recording, { title }: RecordedCase): string | undefined {
    if (name === "52-upload" && title === "mask") return "uploads of masks are left out of the simulator";
    return title.includes("VHS_latentpreview=true")
      ? "messages of custom node packs are left out of the simulator"
      : undefined;
  }

  async stop(): Promise<void> {
    await this.#simulator?.stop();
    this.#simulator = undefined;
  }

  #running(): Simulator {
    if (!this.#simulator) throw new Error("no simulator has been prepared");
    return this.#simulator;
  }
}
