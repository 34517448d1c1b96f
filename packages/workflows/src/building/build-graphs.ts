import { animate } from "./animate-diff.ts";
import { GraphBuilder, type BuiltGraph, type Output } from "./graph-builder.ts";
import { decode, encodePrompts, sample, saveImages } from "./graph-stages.ts";
import { sampleLarger } from "./hires-fix.ts";
import { type ImageParameters } from "../parameters/image-parameters.ts";
import { loadModels } from "./load-models.ts";
import { sampleNativeVideo } from "./native-video.ts";
import { denoiseOf } from "../parameters/start-image-fields.ts";
import { emptyLatent, latentOfImage, latentOfStill } from "./start-latent.ts";
import { type KnownUploads } from "../parameters/known-uploads.ts";
import { type VideoEnding } from "./video-endings.ts";
import { framesOf, type VideoParameters } from "../parameters/video-parameters.ts";

/** Text or image to image. */
export function buildImageGraph(image: ImageParameters, uploads: KnownUploads): BuiltGraph {
  const graph = new GraphBuilder();
  const models = loadModels(graph, image, image.components?.textEncoderType);
  const conditioning = encodePrompts(graph, models.clip, image);
  const { initImage, hiresFix } = image;
  const pictures = { count: image.count, parameter: "count" };
  const start =
    initImage === undefined
      ? emptyLatent(graph, image, pictures)
      : latentOfImage(graph, { ...image, initImage }, models.vae, pictures, uploads);
  const first = { model: models.model, conditioning, latent: start, denoise: denoiseOf(image) };
  const sampled = sample(graph, first, image);
  const latent =
    hiresFix === undefined
      ? sampled
      : sampleLarger(graph, { models, conditioning, latent: sampled }, { ...image, hiresFix });
  saveImages(graph, decode(graph, latent, models.vae));
  return graph.build();
}

/** Text or image to video; the given ending writes the file. */
export function buildVideoGraph(
  video: VideoParameters,
  ending: VideoEnding,
  uploads: KnownUploads,
): BuiltGraph {
  const graph = new GraphBuilder();
  const { family } = video;
  const { latent, vae } =
    family === "animatediff"
      ? sampleAnimateDiff(graph, video, uploads)
      : sampleNativeVideo(graph, { ...video, family }, uploads);
  ending.add(graph, decode(graph, latent, vae), video);
  return graph.build();
}

function sampleAnimateDiff(
  graph: GraphBuilder,
  video: VideoParameters,
  uploads: KnownUploads,
): { latent: Output; vae: Output } {
  const { model, clip, vae } = loadModels(graph, video);
  const conditioning = encodePrompts(graph, clip, video);
  const frames = { count: framesOf(video), parameter: "durationSeconds" };
  const { initImage } = video;
  const start =
    initImage === undefined
      ? emptyLatent(graph, video, frames)
      : latentOfStill(graph, { ...video, initImage }, vae, frames, uploads);
  const animated = animate(graph, model, video);
  const from = { model: animated, conditioning, latent: start, denoise: denoiseOf(video) };
  return { latent: sample(graph, from, video), vae };
}
