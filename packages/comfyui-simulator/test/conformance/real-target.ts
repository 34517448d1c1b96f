import { rmSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { textAt } from "../replay/recording.ts";
import { isWithoutCustomNodes, type RecordedCase, type Recording } from "./recordings.ts";
import type { Target } from "./run-conformance.ts";

/** Recordings that end or wedge the server: nobody restarts a real one for us. */
const DEADLY: Readonly<Record<string, string>> = {
  "10-drop-and-kill": "ends the server process, which nobody here could start again",
  "15-poison-prompts": "wedges or ends the server process, which nobody here could start again",
};

const MODEL_INPUTS = ["ckpt_name", "model_name"] as const;

/** A real ComfyUI 0.3.64, started for this and used by nobody else: its queue is interrupted, its history cleared. */
export class RealTarget implements Target {
  readonly name = "real server";
  readonly silenceMs = 8_000;
  private readonly url: string;
  private readonly outputDir: string | undefined;
  private classes: Record<string, unknown> = {};

  /** @param outputDir the server's output folder, if it can be reached from here */
  constructor(url: string, outputDir: string | undefined) {
    this.url = url.replace(/\/+$/, "");
    this.outputDir = outputDir;
  }

  async prepare(): Promise<string> {
    this.classes = (await (await fetch(`${this.url}/object_info`)).json()) as Record<string, unknown>;
    await this.post("/history", { clear: true });
    await this.post("/free", { free_memory: true });
    await delay(1_500); // the executor looks at that once a second
    return this.url;
  }

  onNote(text: string): Promise<void> {
    const deleted = /^deleted (.*)$/.exec(text)?.[1];
    if (deleted !== undefined && this.outputDir !== undefined) rmSync(path.join(this.outputDir, deleted));
    return Promise.resolve();
  }

  onCase(): Promise<void> {
    return Promise.resolve();
  }

  skipCase({ name }: Recording, recorded: RecordedCase): string | undefined {
    const deadly = DEADLY[name];
    if (deadly !== undefined) return deadly;
    if (this.outputDir === undefined && recorded.title.includes("deleted on disk")) {
      return "deletes an output file, and COMFYUI_OUTPUT_DIR does not say where that is";
    }
    if (isWithoutCustomNodes(recorded.title) && "VHS_VideoCombine" in this.classes) {
      return "was recorded on a server without custom nodes";
    }
    if (recorded.title.startsWith("real CPU allocation failure")) return "allocates 100 GB and more";
    const missing = recorded.nodes.map((node) => textAt(node, "class_type")).find((name) => this.lacks(name));
    if (missing !== undefined) return `this server has no node ${missing}`;
    const loader = [...recorded.ranClasses].find((name) => /^(CheckpointLoader|ADE_.*Load)/.test(name));
    if (loader !== undefined) return "runs model files, which this suite does not bring";
    return this.missingModel(recorded);
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }

  /** Classes that were unknown to the recorded server, too, are sent all the same. */
  private lacks(name: string): boolean {
    return /^(VHS_|ADE_|Proto)/.test(name) && !(name in this.classes);
  }

  /** The lists of model files are part of what a refusal says. */
  private missingModel({ nodes }: RecordedCase): string | undefined {
    const known = JSON.stringify(this.classes["CheckpointLoaderSimple"] ?? {});
    const names = nodes.flatMap((node) => {
      const inputs = node.get("inputs");
      return inputs instanceof Map ? MODEL_INPUTS.map((input) => textAt(inputs, input)) : [];
    });
    const isListed =
      known.includes('"counterfeit_v3.safetensors"') && known.includes('"AOM3A1B.safetensors"');
    return names.some((name) => /counterfeit/i.test(name)) && !isListed
      ? "this server does not list the model files AOM3A1B.safetensors and counterfeit_v3.safetensors"
      : undefined;
  }

  private async post(to: string, body: unknown): Promise<void> {
    const reply = await fetch(this.url + to, { method: "POST", body: JSON.stringify(body) });
    if (!reply.ok) throw new Error(`POST ${to} answered ${reply.status}`);
  }
}
