import { type ObjectInfo } from "@genga/comfyui";
import { InvalidJobError, type Workflow } from "@genga/jobs";
import { GraphBuilder, type BuiltGraph } from "./graph-builder.ts";
import {
  animate,
  decode,
  emptyLatent,
  encodePrompts,
  loadCheckpoint,
  sample,
  saveImages,
} from "./graph-stages.ts";
import { type ImageParameters } from "./image-parameters.ts";
import { parseImageParameters, parseVideoParameters } from "./job-parameters.ts";
import { endingFor, endingsOf, type VideoEnding } from "./video-endings.ts";
import { framesOf, type VideoParameters } from "./video-parameters.ts";

/** Parameters → ComfyUI graph. The same parameters (seed included) give the same graph. */
export class WorkflowGenerator {
  readonly #objectInfo: ObjectInfo | undefined;

  /** @param options.objectInfo what the server has; decides how a video ends. Absent: VideoHelperSuite's mp4. */
  constructor(options: { objectInfo?: ObjectInfo } = {}) {
    this.#objectInfo = options.objectInfo;
  }

  /**
   * Text to image: checkpoint, two prompts, sampler, decoder, `SaveImage`.
   * @param parameters as `imageParametersSchema` describes them; the seed is drawn when absent
   * @throws InvalidJobError naming every parameter that is wrong
   */
  createImageWorkflow(parameters: unknown): Workflow {
    return buildImageGraph(parseImageParameters(parameters)).workflow;
  }

  /**
   * Text to video with AnimateDiff, ending in the nodes that the server has.
   * @param parameters as `videoParametersSchema` describes them; the seed is drawn when absent
   * @throws InvalidJobError naming every parameter that is wrong, or `format` when the server cannot write it
   */
  createVideoWorkflow(parameters: unknown): Workflow {
    const video = parseVideoParameters(parameters);
    const ending =
      this.#objectInfo === undefined ? endingsOf(video.format)[0] : endingFor(video.format, this.#objectInfo);
    if (ending === undefined) throw new InvalidJobError([missingEnding(video.format)]);
    return buildVideoGraph(video, ending).workflow;
  }
}

export function buildImageGraph(image: ImageParameters): BuiltGraph {
  const graph = new GraphBuilder();
  const { model, clip, vae } = loadCheckpoint(graph, image);
  const conditioning = encodePrompts(graph, clip, image);
  const latent = emptyLatent(graph, image, { count: image.count, parameter: "count" });
  const sampled = sample(graph, { model, conditioning, latent, denoise: 1 }, image);
  saveImages(graph, decode(graph, sampled, vae));
  return graph.build();
}

export function buildVideoGraph(video: VideoParameters, ending: VideoEnding): BuiltGraph {
  const graph = new GraphBuilder();
  const { model, clip, vae } = loadCheckpoint(graph, video);
  const conditioning = encodePrompts(graph, clip, video);
  const latent = emptyLatent(graph, video, { count: framesOf(video), parameter: "durationSeconds" });
  const animated = animate(graph, model, video);
  const sampled = sample(graph, { model: animated, conditioning, latent, denoise: 1 }, video);
  ending.add(graph, decode(graph, sampled, vae), video.fps);
  return graph.build();
}

/** Nobody can write such a video. */
export function missingEnding(format: VideoParameters["format"]): InvalidJobError["problems"][number] {
  const ways = endingsOf(format).map(({ classTypes }) => classTypes.join(" with "));
  const accepted = [...new Set(ways)];
  return {
    path: "format",
    code: "unknown-node-class",
    message: `No known server can write ${format === undefined ? "a video" : `a video as ${format}`}: it needs ${accepted.join(", or ")}.`,
    accepted,
    ...(format === undefined ? {} : { received: format }),
  };
}
