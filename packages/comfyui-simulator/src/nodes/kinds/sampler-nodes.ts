import { type Picture, type Scene } from "../../drawing/picture.ts";
import { pythonText } from "../../python/python-values.ts";
import { outOfGpuMemory } from "../allocation.ts";
import { conditioningText } from "./conditioning-nodes.ts";
import { NodeException, type NodeImplementation, type NodeResult, type NodeRun } from "../node-run.ts";
import { opaque, plain, type LatentValue, type ModelValue, type NodeValue } from "../node-values.ts";
import { latentInput, modelInput, numberInput, plainInput } from "../read-input.ts";

/** The time for each further picture of a batch, as a share of the time for the first. */
const batchShare = 0.15;

/** A motion module samples at most this many frames at once without context options (GRAPHS, Video). */
const framesWithoutContextMax = 32;

const previewSizeMax = 512;

export const samplerNodes: Readonly<Record<string, NodeImplementation>> = {
  KSampler: (run) =>
    sample(run, {
      model: modelInput(run, "model"),
      latent: latentInput(run, "latent_image"),
      positive: run.inputs.get("positive"),
      negative: run.inputs.get("negative"),
      seed: pythonText(plainInput(run, "seed") ?? 0),
      steps: numberInput(run, "steps", 20),
      denoise: numberInput(run, "denoise", 1),
    }),
  KSamplerAdvanced: (run) => {
    const steps = numberInput(run, "steps", 20);
    const start = Math.min(steps, numberInput(run, "start_at_step"));
    const end = Math.min(steps, numberInput(run, "end_at_step", steps));
    return sample(run, {
      model: modelInput(run, "model"),
      latent: latentInput(run, "latent_image"),
      positive: run.inputs.get("positive"),
      negative: run.inputs.get("negative"),
      seed: pythonText(plainInput(run, "noise_seed") ?? 0),
      steps: Math.max(0, end - start),
      denoise: 1 - start / steps,
    });
  },
  KSamplerSelect: () => ({ outputs: [opaque("SAMPLER")] }),
  RandomNoise: (run) => ({ outputs: [plain(plainInput(run, "noise_seed") ?? 0)] }),
  BasicScheduler: scheduler,
  LTXVScheduler: scheduler,
  BasicGuider: (run) => ({ outputs: [guider(run, "conditioning", undefined)] }),
  CFGGuider: (run) => ({ outputs: [guider(run, "positive", "negative")] }),
  SamplerCustomAdvanced: async (run) => {
    const guide = run.inputs.get("guider");
    const sigmas = run.inputs.get("sigmas");
    const noise = run.inputs.get("noise");
    if (guide?.kind !== "opaque")
      throw new NodeException("AttributeError", "'NoneType' object has no attribute 'sample'");
    const { model, positive, negative } = guides.get(guide) ?? {};
    if (!model)
      throw new NodeException("AttributeError", "'NoneType' object has no attribute 'model_patcher'");
    const result = await sample(run, {
      model,
      latent: latentInput(run, "latent_image"),
      positive,
      negative,
      seed: noise?.kind === "plain" ? pythonText(noise.value) : "0",
      steps: sigmas?.kind === "plain" ? Number(pythonText(sigmas.value)) : 20,
      denoise: 1,
    });
    const [latent = opaque("LATENT")] = result.outputs;
    return { outputs: [latent, latent] };
  },
};

/** The inputs of each guider. */
const guides = new WeakMap<
  NodeValue,
  { model: ModelValue; positive: NodeValue | undefined; negative: NodeValue | undefined }
>();

function guider(run: NodeRun, positive: string, negative: string | undefined): NodeValue {
  const guide = opaque("GUIDER");
  guides.set(guide, {
    model: modelInput(run, "model"),
    positive: run.inputs.get(positive),
    negative: negative === undefined ? undefined : run.inputs.get(negative),
  });
  return guide;
}

/** A schedule is represented by its number of steps. */
function scheduler(run: NodeRun): NodeResult {
  return {
    outputs: [plain(Math.max(1, Math.round(numberInput(run, "steps", 20) * numberInput(run, "denoise", 1))))],
  };
}

interface Sampling {
  readonly model: ModelValue;
  readonly latent: LatentValue;
  readonly positive: NodeValue | undefined;
  readonly negative: NodeValue | undefined;
  readonly seed: string;
  readonly steps: number;
  readonly denoise: number;
}

/**
 * Samples step by step: first waits for the time of the step, then sends progress and a preview. An interrupt is
 * noticed after the step.
 */
async function sample(run: NodeRun, sampling: Sampling): Promise<NodeResult> {
  const { model, latent, steps, denoise } = sampling;
  if (run.faults.take("out-of-memory")) throw outOfGpuMemory();
  const { motion } = model;
  if (motion && !motion.hasContext && latent.count > framesWithoutContextMax) {
    throw new NodeException(
      "ValueError",
      `Without a context window, AnimateDiff model ${motion.model} has upper limit of ` +
        `${framesWithoutContextMax} frames, but received ${latent.count} latents.`,
    );
  }
  const pictures = resultOf(sampling);
  const [first] = pictures;
  const stepMs = run.timing.stepMs * (1 + (latent.count - 1) * batchShare);
  for (let step = 1; step <= steps; step += 1) {
    await run.wait(stepMs);
    const noise = denoise * (1 - step / steps) ** 0.8;
    const preview = first && { picture: first, format: "jpeg" as const, noise, sizeMax: previewSizeMax };
    await run.progress(step, steps, preview);
  }
  return { outputs: [{ ...latent, pictures }] };
}

/** With a motion module the batch is one moving scene; without one, every picture has its own seed. */
function resultOf({ model, latent, positive, negative, seed, denoise }: Sampling): Picture[] {
  const { width, height, count } = latent;
  return Array.from({ length: count }, (_unused, index): Picture => {
    const isMoving = model.motion !== undefined || isVideoModel(model);
    const scene: Scene = {
      prompt: conditioningText(positive),
      negative: conditioningText(negative),
      seed: isMoving || index === 0 ? seed : `${seed}+${index}`,
      checkpoint: model.checkpoint,
      loras: model.loras,
    };
    const drawn: Picture = { op: "scene", width, height, scene, time: isMoving ? index / count : 0 };
    const before = latent.pictures?.[index];
    if (before === undefined || denoise >= 1) return drawn;
    return {
      op: "blend",
      width,
      height,
      below: before,
      above: drawn,
      factor: denoise ** 1.5,
      mode: "normal",
    };
  });
}

function isVideoModel(model: ModelValue): boolean {
  return /wan|ltx|hunyuan|mochi|svd/i.test(model.checkpoint);
}
