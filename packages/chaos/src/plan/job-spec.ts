import { type Workflow } from "@genga/comfyui";
import { type Random } from "./random.ts";
import { drawCheckpoint } from "./server-kits.ts";

/** The description of a job in a plan: plain data, from which its body and the expected outputs follow. */
export type JobSpec =
  /** Sleeps this long on a server, then makes one picture of a known colour. */
  | { kind: "sleep"; ms: number; steps: number; color: number; timeoutMs?: number }
  /** A picture made from parameters. */
  | { kind: "image"; width: number; height: number; steps: number; seed: number; model: string }
  /** A video of one second. */
  | { kind: "video"; width: number; height: number; steps: number; seed: number; model: string }
  /** Reads the picture of another job, and makes it twice as large. */
  | { kind: "upscale"; of: string; width: number; height: number; color?: number }
  /** One node raises an exception each time. */
  | { kind: "fails"; attemptsMax: number; color: number }
  /** Has a text as output, and no file. */
  | { kind: "text"; text: string };

const videoMs = 1_000;

/** What the outputs of a completed job must look like. */
export type ExpectedOutput =
  | { kind: "picture"; width: number; height: number; color?: number; seed?: number }
  | { kind: "video"; width: number; height: number; durationMs: number }
  | { kind: "text"; text: string };

export function drawJob(random: Random): JobSpec {
  const kind = random.pickWeighted({ sleep: 11, image: 7, video: 1, fails: 1, text: 1, late: 1 });
  const color = random.between(1, 0xff_ff_ff);
  switch (kind) {
    case "sleep":
      return { kind, ms: random.between(150, 2_500), steps: random.between(3, 10), color };
    case "late":
      return { kind: "sleep", ms: 30_000, steps: 300, color, timeoutMs: random.between(1_000, 1_500) };
    case "image":
      return {
        kind,
        width: 256 + 8 * random.between(0, 4),
        height: 256 + 8 * random.between(0, 4),
        steps: random.between(2, 60),
        seed: random.between(0, 2 ** 31),
        model: drawCheckpoint(random),
      };
    case "video": {
      const [steps, seed] = [random.between(1, 3), random.between(0, 2 ** 31)];
      return { kind, width: 256, height: 256, steps, seed, model: drawCheckpoint(random) };
    }
    case "fails":
      return { kind, attemptsMax: random.between(1, 2), color };
    case "text":
      return { kind, text: `原画 ${random.between(0, 1e9)}` };
  }
}

/** A job that reads the picture which a job of this name and kind makes; `null`: that job makes none. */
export function upscaleOf(name: string, spec: JobSpec): JobSpec | null {
  const expected = expectedOutput(spec);
  if (expected?.kind !== "picture" || expected.width > 512) return null;
  const { width, height, color } = expected;
  const size = { width: 2 * width, height: 2 * height };
  return { kind: "upscale", of: name, ...size, ...(color !== undefined && { color }) };
}

/** The checkpoint that the job's server must have. */
export function checkpointOf(spec: JobSpec): string | null {
  return "model" in spec ? spec.model : null;
}

/**
 * The body of `POST generate`, or one entry of a batch.
 *
 * @param sourceOf how the submission names a job of the plan, of which this one reads an output
 */
export function bodyOf(spec: JobSpec, sourceOf: (name: string) => string): object {
  switch (spec.kind) {
    case "image": {
      const { width, height, steps, seed, model } = spec;
      return { type: "image", prompt: `a heron, study ${seed}`, width, height, steps, seed, model };
    }
    case "video": {
      const { width, height, steps, seed, model } = spec;
      const length = { durationSeconds: videoMs / 1_000, fps: 8 };
      return { type: "video", prompt: `a heron, take ${seed}`, width, height, steps, seed, model, ...length };
    }
    case "upscale": {
      const image = { $output: { from: sourceOf(spec.of), output: 0 } };
      const scale = { upscale_method: "nearest-exact", scale_by: 2 };
      const workflow = {
        "1": { class_type: "LoadImage", inputs: { image } },
        "2": { class_type: "ImageScaleBy", inputs: { image: ["1", 0], ...scale } },
        "3": { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: "chaos" } },
      };
      return { type: "workflow", workflow };
    }
    case "sleep": {
      const { ms, steps, color, timeoutMs } = spec;
      const inputs = { seconds: ms / 1_000, steps, preview: "none", seed: color };
      const workflow = flatPicture(color, "ProtoSleep", inputs);
      return { type: "workflow", workflow, ...(timeoutMs !== undefined && { timeoutMs }) };
    }
    case "fails": {
      const { color, attemptsMax } = spec;
      const inputs = { mode: "value", message: "boom", seed: color };
      return { type: "workflow", workflow: flatPicture(color, "ProtoFail", inputs), attemptsMax };
    }
    case "text": {
      const inputs = { text: spec.text, progress_text: false };
      return { type: "workflow", workflow: { "1": { class_type: "ProtoText", inputs } } };
    }
  }
}

/** `null`: the job never completes. */
export function expectedOutput(spec: JobSpec): ExpectedOutput | null {
  switch (spec.kind) {
    case "image":
      return { kind: "picture", width: spec.width, height: spec.height, seed: spec.seed };
    case "video":
      return { kind: "video", width: spec.width, height: spec.height, durationMs: videoMs };
    case "sleep":
      return isLate(spec) ? null : { kind: "picture", width: 64, height: 64, color: spec.color };
    case "upscale": {
      const { width, height, color } = spec;
      return { kind: "picture", width, height, ...(color !== undefined && { color }) };
    }
    case "fails":
      return null;
    case "text":
      return { kind: "text", text: spec.text };
  }
}

/** Whether the job's deadline passes before it can end. */
export function isLate(spec: JobSpec): boolean {
  return spec.kind === "sleep" && spec.timeoutMs !== undefined;
}

function flatPicture(color: number, work: string, inputs: Record<string, unknown>): Workflow {
  return {
    "1": { class_type: "EmptyImage", inputs: { width: 64, height: 64, batch_size: 1, color } },
    "2": { class_type: work, inputs: { image: ["1", 0], ...inputs } },
    "3": { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: "chaos" } },
  };
}
