import { type GraphBuilder, type Output } from "./graph-builder.ts";
import { decode, sample, type Conditioning } from "./graph-stages.ts";
import { hiresSizeOf, type HiresFix } from "./hires-fix-fields.ts";
import { type ImageParameters } from "./image-parameters.ts";
import { type Models } from "./load-models.ts";
import { latentStepOf } from "./model-fields.ts";

/** A second pass at a larger size: over the enlarged latent, or over the picture that an upscale model enlarged. */
export function sampleLarger(
  graph: GraphBuilder,
  from: { models: Models; conditioning: Conditioning; latent: Output },
  image: ImageParameters & { hiresFix: HiresFix },
): Output {
  const { hiresFix } = image;
  const { models, conditioning } = from;
  const size = hiresSizeOf(image, hiresFix, latentStepOf(image));
  const latent =
    hiresFix.upscaler === undefined
      ? enlargeLatent(graph, from.latent, size, hiresFix.method ?? "nearest-exact")
      : enlargePicture(graph, decode(graph, from.latent, models.vae), models.vae, size, hiresFix.upscaler);
  const second = {
    ...{ model: models.model, conditioning, latent, denoise: hiresFix.denoise, title: "Sample larger" },
    parameters: {
      denoise: "hiresFix.denoise",
      steps: hiresFix.steps === undefined ? "steps" : "hiresFix.steps",
    },
  };
  return sample(graph, second, { ...image, steps: hiresFix.steps ?? image.steps });
}

interface Size {
  width: number;
  height: number;
}

const sizeParameters = { width: "hiresFix.scale", height: "hiresFix.scale" };

function enlargeLatent(graph: GraphBuilder, samples: Output, size: Size, method: string): Output {
  return graph.add(
    "LatentUpscale",
    "Enlarge",
    { samples, upscale_method: method, ...size, crop: "disabled" },
    { upscale_method: "hiresFix.method", ...sizeParameters },
  )(0);
}

/** Upscale models have a factor of their own; what they make is brought to the size that was asked for. */
function enlargePicture(
  graph: GraphBuilder,
  image: Output,
  vae: Output,
  size: Size,
  upscaler: string,
): Output {
  const upscaleModel = graph.add(
    "UpscaleModelLoader",
    "Load upscale model",
    { model_name: upscaler },
    { model_name: "hiresFix.upscaler" },
  )(0);
  const enlarged = graph.add("ImageUpscaleWithModel", "Enlarge", { upscale_model: upscaleModel, image })(0);
  const pixels = graph.add(
    "ImageScale",
    "Fit size",
    { image: enlarged, upscale_method: "lanczos", ...size, crop: "disabled" },
    sizeParameters,
  )(0);
  return graph.add("VAEEncode", "Read enlarged picture", { pixels, vae })(0);
}
