import { type ObjectInfo, type Workflow } from "@genga/comfyui";
import { InvalidJobError, type Upload } from "@genga/jobs";
import { buildImageGraph, buildVideoGraph } from "./build-graphs.ts";
import { parseImageParameters, parseVideoParameters } from "../parameters/job-parameters.ts";
import { type KnownUploads } from "../parameters/known-uploads.ts";
import { endingFor, endingsOf, missingEnding } from "./video-endings.ts";

/** Parameters → ComfyUI graph. The same parameters (seed included) give the same graph. */
export class WorkflowGenerator {
  readonly #objectInfo: ObjectInfo | undefined;
  readonly #uploads: KnownUploads;

  /**
   * @param options.objectInfo the server's definitions, which decide how a video is written. Absent: VideoHelperSuite's
   * mp4.
   * @param options.uploads the uploads that parameters may name
   */
  constructor(options: { objectInfo?: ObjectInfo; uploads?: readonly Upload[] } = {}) {
    this.#objectInfo = options.objectInfo;
    this.#uploads = new Map((options.uploads ?? []).map((upload) => [upload.id, upload]));
  }

  /**
   * Text or image to image: models, two prompts, a latent to start from, sampler, decoder, `SaveImage`.
   * @param parameters as `imageParametersSchema` describes them; the seed is drawn when absent
   * @throws InvalidJobError naming every parameter that is wrong
   */
  createImageWorkflow(parameters: unknown): Workflow {
    return buildImageGraph(parseImageParameters(parameters, this.#uploads), this.#uploads).workflow;
  }

  /**
   * Text or image to video, with an ending whose nodes the server has.
   * @param parameters as `videoParametersSchema` describes them; the seed is drawn when absent
   * @throws InvalidJobError naming every parameter that is wrong, or `format` when the server cannot write it
   */
  createVideoWorkflow(parameters: unknown): Workflow {
    const video = parseVideoParameters(parameters, this.#uploads);
    const ending = this.#objectInfo === undefined ? endingsOf(video)[0] : endingFor(video, this.#objectInfo);
    if (ending === undefined) throw new InvalidJobError([missingEnding(video)]);
    return buildVideoGraph(video, ending, this.#uploads).workflow;
  }
}
