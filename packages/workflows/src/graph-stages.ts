import { type GraphBuilder, type Output } from "./graph-builder.ts";
import { type ImageParameters } from "./image-parameters.ts";
import { type VideoParameters } from "./video-parameters.ts";

/**
 * The stages from which graphs are put together. Each takes what the stages before it gave and returns what it adds, so
 * that a new stage (a LoRA, an init image, a second pass) goes between two others without changing them.
 */

type PictureParameters = Pick<
  ImageParameters,
  | "prompt"
  | "negativePrompt"
  | "width"
  | "height"
  | "steps"
  | "cfg"
  | "seed"
  | "model"
  | "sampler"
  | "scheduler"
>;

/** What a checkpoint gives. */
export interface Models {
  model: Output;
  clip: Output;
  vae: Output;
}

/** What the sampler follows and what it avoids. */
export interface Conditioning {
  positive: Output;
  negative: Output;
}

/** Where output files go on the server; replaced by a name of its own at each submission. */
export const filenamePrefix = "genga";

export function loadCheckpoint(graph: GraphBuilder, { model }: PictureParameters): Models {
  const output = graph.add(
    "CheckpointLoaderSimple",
    "Load checkpoint",
    { ckpt_name: model },
    { ckpt_name: "model" },
  );
  return { model: output(0), clip: output(1), vae: output(2) };
}

export function encodePrompts(
  graph: GraphBuilder,
  clip: Output,
  { prompt, negativePrompt }: PictureParameters,
): Conditioning {
  const positive = graph.add("CLIPTextEncode", "Read prompt", { text: prompt, clip }, { text: "prompt" });
  const negative = graph.add(
    "CLIPTextEncode",
    "Read negative prompt",
    { text: negativePrompt, clip },
    { text: "negativePrompt" },
  );
  return { positive: positive(0), negative: negative(0) };
}

/** @param pictures how many are sampled together: the `count` of an image, the frames of a video */
export function emptyLatent(
  graph: GraphBuilder,
  { width, height }: PictureParameters,
  pictures: { count: number; parameter: string },
): Output {
  const inputs = { width, height, batch_size: pictures.count };
  const parameters = { width: "width", height: "height", batch_size: pictures.parameter };
  return graph.add("EmptyLatentImage", "Empty canvas", inputs, parameters)(0);
}

export function sample(
  graph: GraphBuilder,
  from: { model: Output; conditioning: Conditioning; latent: Output; denoise: number },
  { seed, steps, cfg, sampler, scheduler }: PictureParameters,
): Output {
  return graph.add(
    "KSampler",
    "Sample",
    {
      model: from.model,
      positive: from.conditioning.positive,
      negative: from.conditioning.negative,
      latent_image: from.latent,
      seed,
      steps,
      cfg,
      sampler_name: sampler,
      scheduler,
      denoise: from.denoise,
    },
    { seed: "seed", steps: "steps", cfg: "cfg", sampler_name: "sampler", scheduler: "scheduler" },
  )(0);
}

export function decode(graph: GraphBuilder, latent: Output, vae: Output): Output {
  return graph.add("VAEDecode", "Decode", { samples: latent, vae })(0);
}

export function saveImages(graph: GraphBuilder, images: Output): void {
  graph.add("SaveImage", "Save image", { images, filename_prefix: filenamePrefix });
}

/** AnimateDiff, Gen1. Without context options a server accepts more than 32 frames and then fails (GRAPHS, Video). */
export function animate(
  graph: GraphBuilder,
  model: Output,
  { motionModel, contextLength, contextOverlap }: VideoParameters,
): Output {
  const context = graph.add(
    "ADE_StandardStaticContextOptions",
    "Frame windows",
    { context_length: contextLength, context_overlap: contextOverlap },
    { context_length: "contextLength", context_overlap: "contextOverlap" },
  );
  return graph.add(
    "ADE_AnimateDiffLoaderGen1",
    "Load motion model",
    { model, model_name: motionModel, beta_schedule: "autoselect", context_options: context(0) },
    { model_name: "motionModel" },
  )(0);
}
