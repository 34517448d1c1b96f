import { type GraphBuilder, type Output } from "./graph-builder.ts";
import { decode, sample, type Conditioning } from "./graph-stages.ts";
import { hiresSizeOf, type HiresFix } from "../parameters/hires-fix-fields.ts";
import { type ImageParameters } from "../parameters/image-parameters.ts";
import { type Models } from "./load-models.ts";
import { latentSpaceOf } from "../parameters/latent-spaces.ts";

/** A second pass at a larger size: over the enlarged latent, or over the picture that an upscale model enlarged. */
export function sampleLarger(
  graph: GraphBuilder,
  from: { models: Models; conditioning: Conditioning; latent: Output },
  image: ImageParameters & { hiresFix: HiresFix },
): Output {
  const { hiresFix } = image;
  const { models, conditioning } = from;
  const space = latentSpaceOf(image.components);
  const size = hiresSizeOf(image, hiresFix, space.step);
  const latent =
    hiresFix.upscaler === undefined
      ? enlargeLatent(graph, from.latent, { size, factor: space.factor, hiresFix })
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

/** Pixels per element of a latent's side, as `LatentUpscale` counts them for every model. */
const countedFactor = 8;

/**
 * Enlarges the latent to exactly the requested size, or by the scale if the model's number of pixels per latent element
 * is not known.
 */
function enlargeLatent(
  graph: GraphBuilder,
  samples: Output,
  { size, factor, hiresFix }: { size: Size; factor: number | undefined; hiresFix: HiresFix },
): Output {
  const { scale, method = "nearest-exact" } = hiresFix;
  if (factor === undefined) {
    return graph.add(
      "LatentUpscaleBy",
      "Enlarge",
      { samples, upscale_method: method, scale_by: scale },
      { upscale_method: "hiresFix.method", scale_by: "hiresFix.scale" },
    )(0);
  }
  const width = (size.width * countedFactor) / factor;
  const height = (size.height * countedFactor) / factor;
  return graph.add(
    "LatentUpscale",
    "Enlarge",
    { samples, upscale_method: method, width, height, crop: "disabled" },
    { upscale_method: "hiresFix.method", ...sizeParameters },
  )(0);
}

/**
 * Enlarges the picture with an upscale model, which has a fixed factor, and then scales the result to the requested
 * size.
 */
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
