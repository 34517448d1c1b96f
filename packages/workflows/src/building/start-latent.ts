import { type GraphBuilder, type Output } from "./graph-builder.ts";
import { latentSpaceOf } from "../parameters/latent-spaces.ts";
import { type Components } from "../parameters/model-fields.ts";
import { denoiseOf } from "../parameters/start-image-fields.ts";
import { type GivenFile } from "../parameters/output-reference.ts";
import { nameOfUpload, type KnownUploads } from "../parameters/known-uploads.ts";

interface StartParameters {
  width: number;
  height: number;
  components?: Components | undefined;
  initImage?: GivenFile | undefined;
  mask?: GivenFile | undefined;
  maskGrow?: number | undefined;
  denoise?: number | undefined;
}

/** How many pictures are sampled together: the `count` of an image, the frames of a video. */
export interface Pictures {
  count: number;
  parameter: string;
}

const maskGrowDefault = 6;

/** An empty canvas. */
export function emptyLatent(graph: GraphBuilder, size: StartParameters, pictures: Pictures): Output {
  const isTold = size.components?.textEncoderType !== undefined;
  return graph.add(
    latentSpaceOf(size.components).emptyClass,
    "Empty canvas",
    { width: size.width, height: size.height, batch_size: pictures.count },
    {
      ...{ width: "width", height: "height", batch_size: pictures.parameter },
      ...(isTold ? { class_type: "components.textEncoderType" } : {}),
    },
  )(0);
}

/** The start image, repeated for each picture. With a mask the sampler may change only the mask's white parts. */
export function latentOfImage(
  graph: GraphBuilder,
  given: StartParameters & { initImage: GivenFile },
  vae: Output,
  pictures: Pictures,
  uploads: KnownUploads,
): Output {
  const pixels = loadStartImage(graph, given, uploads);
  const mask = given.mask === undefined ? null : loadMask(graph, given.mask, uploads);
  if (mask !== null && denoiseOf(given) === 1) {
    return repeatLatent(graph, encodeForInpaint(graph, pixels, vae, mask, given.maskGrow), pictures);
  }
  const latent = graph.add("VAEEncode", "Read start image", { pixels, vae })(0);
  const free =
    mask === null
      ? latent
      : graph.add("SetLatentNoiseMask", "Keep what is black", { samples: latent, mask })(0);
  return repeatLatent(graph, free, pictures);
}

/**
 * Every frame starts from the start image. The picture is repeated and not its latent, because a latent repeats at most
 * 64 times.
 */
export function latentOfStill(
  graph: GraphBuilder,
  given: StartParameters & { initImage: GivenFile },
  vae: Output,
  frames: Pictures,
  uploads: KnownUploads,
): Output {
  const image = loadStartImage(graph, given, uploads);
  const pixels = graph.add(
    "RepeatImageBatch",
    "Repeat start image",
    { image, amount: frames.count },
    { amount: frames.parameter },
  )(0);
  return graph.add("VAEEncode", "Read start image", { pixels, vae })(0);
}

export function loadStartImage(
  graph: GraphBuilder,
  { initImage, width, height }: StartParameters & { initImage: GivenFile },
  uploads: KnownUploads,
): Output {
  const image = graph.add(
    "LoadImage",
    "Load start image",
    { image: nameOfUpload(uploads, initImage) },
    { image: "initImage" },
  )(0);
  return graph.add(
    "ImageScale",
    "Fit start image",
    { image, upscale_method: "lanczos", width, height, crop: "center" },
    { width: "width", height: "height" },
  )(0);
}

/**
 * Loads a mask, whose white parts may be changed. The mask is read from its red channel; in a grey picture all channels
 * are equal.
 */
function loadMask(graph: GraphBuilder, mask: GivenFile, uploads: KnownUploads): Output {
  const inputs = { image: nameOfUpload(uploads, mask), channel: "red" };
  return graph.add("LoadImageMask", "Load mask", inputs, { image: "mask" })(0);
}

/** Blanks the part that is drawn anew before encoding, so that the old content does not show in the result. */
function encodeForInpaint(
  graph: GraphBuilder,
  pixels: Output,
  vae: Output,
  mask: Output,
  maskGrow = maskGrowDefault,
): Output {
  return graph.add(
    "VAEEncodeForInpaint",
    "Blank what is white",
    { pixels, vae, mask, grow_mask_by: maskGrow },
    { grow_mask_by: "maskGrow" },
  )(0);
}

function repeatLatent(graph: GraphBuilder, samples: Output, { count, parameter }: Pictures): Output {
  if (count === 1) return samples;
  return graph.add(
    "RepeatLatentBatch",
    "Repeat start image",
    { samples, amount: count },
    { amount: parameter },
  )(0);
}
