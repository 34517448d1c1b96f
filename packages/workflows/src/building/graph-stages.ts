import { ExactNumber } from "@genga/comfyui";
import { type GraphBuilder, type Output } from "./graph-builder.ts";
import { type ImageParameters } from "../parameters/image-parameters.ts";

/**
 * The stages that every graph has. Each takes the results of the stages before it and returns its own, so that another
 * stage (a LoRA, a start image, a second pass) can be put between two without changing them.
 */

type PictureParameters = Pick<
  ImageParameters,
  "prompt" | "negativePrompt" | "steps" | "cfg" | "seed" | "sampler" | "scheduler" | "components"
>;

/** The encoded positive and negative prompts for the sampler. */
export interface Conditioning {
  positive: Output;
  negative: Output;
}

/** The file name prefix in the built graph; each submission replaces it by a unique prefix. */
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

/** @param from.parameters the parameters from which this pass takes values of its own, if it has any */
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
