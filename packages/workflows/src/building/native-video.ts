import { type GraphBuilder, type Output } from "./graph-builder.ts";
import { encodePrompts, sample, type Conditioning } from "./graph-stages.ts";
import { loadModels } from "./load-models.ts";
import { loadStartImage } from "./start-latent.ts";
import { type KnownUploads } from "../parameters/known-uploads.ts";
import { textEncoderTypeOf, type NativeFamily } from "../parameters/video-families.ts";
import { framesOf, type VideoParameters } from "../parameters/video-parameters.ts";

/** The start values for the sampler of a native family. */
interface Start {
  conditioning: Conditioning;
  latent: Output;
}

/**
 * A video by a model that has its own nodes in ComfyUI (Wan, LTXV, Hunyuan). Experimental: a real server's definitions
 * accept the graphs, but the graphs were not run with real models.
 * @returns latents and the VAE that reads them
 */
export function sampleNativeVideo(
  graph: GraphBuilder,
  video: VideoParameters & { family: NativeFamily },
  uploads: KnownUploads,
): { latent: Output; vae: Output } {
  const { model, clip, vae } = loadModels(graph, video, textEncoderTypeOf(video.family));
  const conditioning = encodePrompts(graph, clip, video);
  const image =
    video.initImage === undefined
      ? null
      : loadStartImage(graph, { ...video, initImage: video.initImage }, uploads);
  const start = starts[video.family](graph, { video, vae, conditioning, image });
  return { latent: sample(graph, { model, ...start, denoise: 1 }, video), vae };
}

interface Given {
  video: VideoParameters;
  vae: Output;
  conditioning: Conditioning;
  image: Output | null;
}

const starts: Record<NativeFamily, (graph: GraphBuilder, given: Given) => Start> = {
  wan: (graph, { video, vae, conditioning, image }) => {
    if (image === null) return { conditioning, latent: emptyVideo(graph, "EmptyHunyuanLatentVideo", video) };
    const inputs = { ...conditioning, vae, ...sizeOf(video), start_image: image };
    return conditioned(graph.add("WanImageToVideo", "Begin with image", inputs, sizeParameters));
  },
  wan22: (graph, { video, vae, conditioning, image }) => {
    const inputs = { vae, ...sizeOf(video), ...(image === null ? {} : { start_image: image }) };
    const latent = graph.add("Wan22ImageToVideoLatent", "Empty canvas", inputs, sizeParameters)(0);
    return { conditioning, latent };
  },
  ltxv: (graph, { video, vae, conditioning, image }) => {
    const start =
      image === null
        ? { conditioning, latent: emptyVideo(graph, "EmptyLTXVLatentVideo", video) }
        : conditioned(
            graph.add(
              "LTXVImgToVideo",
              "Begin with image",
              { ...conditioning, vae, image, ...sizeOf(video), strength: 1 },
              sizeParameters,
            ),
          );
    const timed = graph.add(
      "LTXVConditioning",
      "Set frame rate",
      { ...start.conditioning, frame_rate: video.fps },
      { frame_rate: "fps", class_type: "family" },
    );
    return { conditioning: { positive: timed(0), negative: timed(1) }, latent: start.latent };
  },
  hunyuan: (graph, { video, conditioning }) => ({
    conditioning,
    latent: emptyVideo(graph, "EmptyHunyuanLatentVideo", video),
  }),
};

function emptyVideo(graph: GraphBuilder, classType: string, video: VideoParameters): Output {
  return graph.add(classType, "Empty canvas", sizeOf(video), sizeParameters)(0);
}

function conditioned(output: (slot: number) => Output): Start {
  return { conditioning: { positive: output(0), negative: output(1) }, latent: output(2) };
}

function sizeOf(video: VideoParameters): Record<"width" | "height" | "length" | "batch_size", number> {
  return { width: video.width, height: video.height, length: framesOf(video), batch_size: 1 };
}

const sizeParameters = {
  ...{ width: "width", height: "height", length: "durationSeconds" },
  class_type: "family",
};
