import { ExactNumber } from "@genga/comfyui";
import { type GraphBuilder, type Output } from "./graph-builder.ts";
import { type ImageParameters } from "../parameters/image-parameters.ts";

/**
 * The stages that every graph has. Each takes what the stages before it gave and returns what it adds, so that another
 * (a LoRA, a start image, a second pass) goes between two without changing them.
 */

type PictureParameters = Pick<
  ImageParameters,
  "prompt" | "negativePrompt" | "steps" | "cfg" | "seed" | "sampler" | "scheduler" | "components"
>;

/** What the sampler follows and what it avoids. */
export interface Conditioning {
  positive: Output;
  negative: Output;
}

/** Where output files go on the server; replaced by a name of its own at each submission. */
export const filenamePrefix = "genga";

export function encodePrompts(
  graph: GraphBuilder,
  clip: Output,
  { prompt, negativePrompt, components }: PictureParameters,
): Conditioning {
  const read = graph.add("CLIPTextEncode", "Read prompt", { text: prompt, clip }, { text: "prompt" })(0);
  const negative = graph.add(
    "CLIPTextEncode",
    "Read negative prompt",
    { text: negativePrompt, clip },
    { text: "negativePrompt" },
  )(0);
  return { positive: guided(graph, read, components?.guidance), negative };
}

function guided(graph: GraphBuilder, conditioning: Output, guidance: number | undefined): Output {
  if (guidance === undefined) return conditioning;
  const inputs = { conditioning, guidance };
  return graph.add("FluxGuidance", "Guide", inputs, { guidance: "components.guidance" })(0);
}

/** @param from.parameters which parameters this pass takes its own values from, where it has such */
export function sample(
  graph: GraphBuilder,
  from: {
    model: Output;
    conditioning: Conditioning;
    latent: Output;
    denoise: number;
    title?: string;
    parameters?: { denoise?: string; steps?: string };
  },
  { seed, steps, cfg, sampler, scheduler }: PictureParameters,
): Output {
  return graph.add(
    "KSampler",
    from.title ?? "Sample",
    {
      model: from.model,
      positive: from.conditioning.positive,
      negative: from.conditioning.negative,
      latent_image: from.latent,
      seed: typeof seed === "string" ? new ExactNumber(seed) : seed,
      steps,
      cfg,
      sampler_name: sampler,
      scheduler,
      denoise: from.denoise,
    },
    {
      ...{ seed: "seed", cfg: "cfg", sampler_name: "sampler", scheduler: "scheduler" },
      ...{ steps: "steps", denoise: "denoise", ...from.parameters },
    },
  )(0);
}

export function decode(graph: GraphBuilder, latent: Output, vae: Output): Output {
  return graph.add("VAEDecode", "Decode", { samples: latent, vae })(0);
}

export function saveImages(graph: GraphBuilder, images: Output): void {
  graph.add("SaveImage", "Save image", { images, filename_prefix: filenamePrefix });
}
