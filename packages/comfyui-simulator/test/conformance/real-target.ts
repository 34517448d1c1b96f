import { rmSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { textAt } from "../replay/recording.ts";
import { deedOf, type SignalName } from "./notes.ts";
import { type RealControl } from "./real-control.ts";
import { type HeldTo } from "./real-version.ts";
import { isWithoutCustomNodes, type RecordedCase, type Recording } from "./recordings.ts";
import { type Target } from "./run-conformance.ts";

/** Recordings that end or wedge the server; the cases of the second began each on a fresh one. */
const deadlyRecordings = ["10-drop-and-kill", "15-poison-prompts", "54-kill-and-restart", "58-poison"];
const freshForEachCase = "15-poison-prompts";

/** ComfyUI keeps the results of every earlier prompt where 96 GB are free; this makes it believe that they are. */
const muchMemoryArguments = ["--cache-ram", "1", "1"];

const modelInputs = ["ckpt_name", "model_name"] as const;

interface RealOptions {
  /** The server's output folder, if it can be reached from here. */
  readonly outputDir?: string | undefined;
  /** What ends and starts the server, if anything can. */
  readonly control?: RealControl | undefined;
}

/** A real ComfyUI, started for this and used by nobody else: its queue is interrupted, its history cleared. */
export class RealTarget implements Target {
  readonly name: "real server" | "newer server";
  readonly silenceMs = 8_000;
  readonly #url: string;
  readonly #outputDir: string | undefined;
  readonly #control: RealControl | undefined;
  #classes: Record<string, unknown> = {};
  #args: readonly string[] = [];
  /** Whether a signal has ended the server and nothing has started it since. */
  #isDown = false;

  /** @param version which recordings it is held to */
  constructor(url: string, version: HeldTo, { outputDir, control }: RealOptions) {
    this.#url = url.replace(/\/+$/, "");
    this.name = version.isNewer ? "newer server" : "real server";
    this.#outputDir = outputDir;
    this.#control = control;
  }

  async prepare(recording: Recording): Promise<string> {
    const args = recording.furnishing === "much-memory" ? muchMemoryArguments : [];
    const isOther = args.join() !== this.#args.join();
    if (isOther || this.#isDown || deadlyRecordings.includes(recording.name)) await this.#restart(args);
    this.#classes = (await (await fetch(`${this.#url}/object_info`)).json()) as Record<string, unknown>;
    await this.#post("/history", { clear: true });
    await this.#post("/free", { free_memory: true });
    await delay(1_500); // the executor looks at that once a second
    return this.#url;
  }

  async onNote(text: string): Promise<void> {
    const deed = deedOf(text);
    if (deed?.kind === "delete" && this.#outputDir !== undefined)
      rmSync(path.join(this.#outputDir, deed.file));
    if (deed?.kind === "signal") await this.#signal(deed.name);
    if (deed?.kind === "restart") await this.#restart(this.#args);
  }

  async onCase({ name }: Recording, _title: string, index: number): Promise<void> {
    if (name === freshForEachCase && index > 0) await this.#restart(this.#args);
  }

  skipCase({ name, furnishing }: Recording, recorded: RecordedCase): string | undefined {
    if (!this.#control && deadlyRecordings.includes(name))
      return "ends or wedges the server, and nothing here restarts it";
    if (!this.#control && furnishing === "much-memory")
      return "needs a server that was told to keep all results";
    if (this.#outputDir === undefined && recorded.title.includes("deleted on disk")) {
      return "deletes an output file, and COMFYUI_OUTPUT_DIR does not say where that is";
    }
    if (isWithoutCustomNodes(recorded.title) && "VHS_VideoCombine" in this.#classes) {
      return "was recorded on a server without custom nodes";
    }
    if (recorded.title.startsWith("real CPU allocation failure")) return "allocates 100 GB and more";
    const missing = recorded.nodes
      .map((node) => textAt(node, "class_type"))
      .find((name) => this.#lacks(name));
    if (missing !== undefined) return `this server has no node ${missing}`;
    const loader = [...recorded.ranClasses].find((name) => /^(CheckpointLoader|ADE_.*Load)/.test(name));
    if (loader !== undefined) return "runs model files, which this suite does not bring";
    return this.#missingModel(recorded);
  }

  async stop(): Promise<void> {
    if (this.#args.length > 0 || this.#isDown) await this.#restart([]);
  }

  async #signal(name: SignalName): Promise<void> {
    await this.#control?.signal(name);
    this.#isDown ||= this.#control !== undefined && name !== "STOP" && name !== "CONT";
  }

  async #restart(args: readonly string[]): Promise<void> {
    this.#args = args;
    this.#isDown = false;
    await this.#control?.restart(args);
  }

  /** Classes that were unknown to the recorded server, too, are sent all the same. */
  #lacks(name: string): boolean {
    return /^(VHS_|ADE_|Proto)/.test(name) && !(name in this.#classes);
  }

  /** The lists of model files are part of what a refusal says. */
  #missingModel({ nodes }: RecordedCase): string | undefined {
    const known = JSON.stringify(this.#classes["CheckpointLoaderSimple"] ?? {});
    const names = nodes.flatMap((node) => {
      const inputs = node.get("inputs");
      return inputs instanceof Map ? modelInputs.map((input) => textAt(inputs, input)) : [];
    });
    const isListed =
      known.includes('"counterfeit_v3.safetensors"') && known.includes('"AOM3A1B.safetensors"');
    return names.some((name) => /counterfeit/i.test(name)) && !isListed
      ? "this server does not list the model files AOM3A1B.safetensors and counterfeit_v3.safetensors"
      : undefined;
  }

  async #post(to: string, body: unknown): Promise<void> {
    const reply = await fetch(this.#url + to, { method: "POST", body: JSON.stringify(body) });
    if (!reply.ok) throw new Error(`POST ${to} answered ${reply.status}`);
  }
}
