import { framesMaxOfModule, framesMaxUsually } from "@genga/comfyui";
import { z } from "zod";
import { pictureFields, type Seed } from "./image-parameters.ts";
import { componentsNeedVae, notBothModels } from "./model-fields.ts";
import { modelFile, whenValid } from "./parameter-rules.ts";
import { denoiseNeedsImage } from "./start-image-fields.ts";
import {
  frameStepOf,
  latentStepOfFamily,
  nativeFamilies,
  takesStartImage,
  videoFamilies,
} from "./video-families.ts";

/** Containers that a video may come in; which nodes write it depends on the server. */
export const videoFormats = ["mp4", "webm", "webp", "gif"] as const;
export type VideoFormat = (typeof videoFormats)[number];

/** The node packs that can write the file. */
export const videoWriters = ["video-helper-suite", "core"] as const;
export type VideoWriter = (typeof videoWriters)[number];

const family = z
  .enum(videoFamilies)
  .default("animatediff")
  .describe(
    "The family of the video model. wan, wan22, ltxv and hunyuan are experimental; they need components and vae, and want a cfg, " +
      "sampler and scheduler of their own.",
  );

const timingFields = {
  durationSeconds: z
    .number()
    .min(1)
    .max(10)
    .default(2)
    .describe(
      "Length. durationSeconds × fps must be a whole number of frames; of the native families a multiple of 4 (ltxv: 8), " +
        "and the file has one frame more, the first.",
    ),
  fps: z.int().min(8).max(30).default(8).describe("Frames per second."),
};

const contextFields = {
  contextLength: z
    .int()
    .min(1)
    .max(128)
    .default(16)
    .describe(
      "Frames that the motion model sees at once; longer videos are made of overlapping windows. Most motion models can " +
        "see 32, some 64.",
    ),
  contextOverlap: z
    .int()
    .min(0)
    .max(127)
    .default(4)
    .describe("Frames that neighbouring windows share; less than contextLength."),
};

const motionOptions = {
  motionLoader: z.enum(["gen1", "gen2"]).optional().describe("AnimateDiff's loader nodes. Default: gen1."),
  motionLoras: z
    .array(
      z.strictObject({
        name: modelFile.describe("Motion LoRA file."),
        strength: z.number().min(0).max(10).default(1).describe("How strong it is."),
      }),
    )
    .max(8)
    .optional()
    .describe("Camera moves and their like, in this order."),
  contextKind: z
    .enum(["standard-static", "standard-uniform", "looped-uniform", "batched"])
    .optional()
    .describe("How the windows are laid. Default: standard-static."),
  contextStride: z
    .int()
    .min(1)
    .max(32)
    .optional()
    .describe("Widest step between frames of a window; of the uniform kinds only. Default: 1."),
  closedLoop: z
    .boolean()
    .optional()
    .describe("The end leads back to the beginning; with looped-uniform only."),
};

const writingFields = {
  format: z
    .enum(videoFormats)
    .optional()
    .describe("Container of the video. Absent: the best that the servers can write, mp4 first."),
  writer: z
    .enum(videoWriters)
    .optional()
    .describe("Whose nodes write it. Absent: VideoHelperSuite where a server has it, else ComfyUI's own."),
};

const nativeOnlyMessage = "it belongs to AnimateDiff; leave it out with this family";

const videoFields = z.strictObject({
  ...pictureFields,
  family,
  ...timingFields,
  motionModel: modelFile
    .default("mm_sd_v15_v2.ckpt")
    .describe("AnimateDiff motion model file on the servers."),
  ...contextFields,
  ...motionOptions,
  ...writingFields,
});

/** Parameters of a `video` job: text or image to video. */
export const videoParametersSchema = videoFields
  .refine(notBothModels.check, notBothModels.params)
  .refine(componentsNeedVae.check, componentsNeedVae.params)
  .refine(denoiseNeedsImage.check, denoiseNeedsImage.params)
  .refine((video) => isWhole(video.durationSeconds * video.fps), {
    path: ["durationSeconds"],
    error: "durationSeconds × fps must be a whole number of frames",
    ...whenValid(timingFields),
  })
  .refine((video) => video.contextOverlap < video.contextLength, {
    path: ["contextOverlap"],
    error: "contextOverlap must be less than contextLength",
    ...whenValid(contextFields),
  })
  .refine((video) => video.contextStride === undefined || (video.contextKind ?? "").endsWith("uniform"), {
    path: ["contextStride"],
    error: "contextStride needs a uniform contextKind",
    ...whenValid(motionOptions),
  })
  .refine((video) => video.closedLoop === undefined || video.contextKind === "looped-uniform", {
    path: ["closedLoop"],
    error: "closedLoop needs contextKind looped-uniform",
    ...whenValid(motionOptions),
  })
  .refine((video) => video.writer !== "core" || video.format !== "gif", {
    path: ["writer"],
    error: "ComfyUI's own nodes cannot write gif",
    ...whenValid(writingFields),
  })
  .superRefine(checkFamily);

/** Checks the abilities and needs of each family. Each rule runs as soon as its own fields are valid. */
function checkFamily(video: z.output<typeof videoFields>, context: z.core.$RefinementCtx): void {
  const refuse = (field: string, message: string): void => {
    context.addIssue({ code: "custom", path: [field], message });
  };
  if (video.family === "animatediff") {
    if (video.components !== undefined) refuse("components", "AnimateDiff needs a checkpoint; name a model");
    const framesMax = framesMaxOfModule(video.motionModel) ?? Number.POSITIVE_INFINITY;
    if (video.contextLength > framesMax)
      refuse("contextLength", `${video.motionModel} sees ${framesMax} frames at once`);
    return;
  }
  if (video.components === undefined) refuse("components", `${video.family} needs components and vae`);
  if (video.model !== undefined) refuse("model", `${video.family} needs components in place of a checkpoint`);
  for (const option of Object.keys(motionOptions)) {
    if (Object.hasOwn(video, option)) refuse(option, nativeOnlyMessage);
  }
  if (video.initImage !== undefined && !takesStartImage(video.family)) {
    refuse("initImage", `${video.family} cannot begin with an image here`);
  }
  if (video.denoise !== undefined) {
    refuse("denoise", `${video.family} takes its first image as it is`);
  }
  const [step, frameStep] = [latentStepOfFamily(video.family), frameStepOf(video.family)];
  for (const side of ["width", "height"] as const) {
    if (video[side] % step !== 0) refuse(side, `${side} must be a multiple of ${step} with ${video.family}`);
  }
  const frames = video.durationSeconds * video.fps;
  if (isWhole(frames) && Math.round(frames) % frameStep !== 0) {
    refuse(
      "durationSeconds",
      `durationSeconds × fps must be a multiple of ${frameStep} with ${video.family}`,
    );
  }
}

/** With all defaults and the seed filled in. */
export type VideoParameters = z.output<typeof videoParametersSchema> & { seed: Seed };

/** How many frames the sampler makes of a video of these parameters. */
export function framesOf(video: Pick<VideoParameters, "durationSeconds" | "fps" | "family">): number {
  const frames = Math.round(video.durationSeconds * video.fps);
  // Native families add one frame at the start: 5 s at 16 fps are 81 frames.
  return nativeFamilies.some((native) => native === video.family) ? frames + 1 : frames;
}

/**
 * Warns if the window has more frames than most motion models can process, and the file name does not show the limit of
 * this one.
 */
export function warningOfLongWindows(
  video: Pick<VideoParameters, "family" | "motionModel" | "contextLength">,
): string | undefined {
  const { family, motionModel, contextLength } = video;
  if (family !== "animatediff" || contextLength <= framesMaxUsually) return undefined;
  if (framesMaxOfModule(motionModel) !== undefined) return undefined;
  return (
    `contextLength: most motion models see ${framesMaxUsually} frames at once; if ${motionModel} is one of them, ` +
    `${contextLength} fail on the server.`
  );
}

/** Whether a number is whole except for rounding: 1.1 × 10 gives 11.000000000000002 in floating point. */
function isWhole(frames: number): boolean {
  return Math.abs(frames - Math.round(frames)) < 1e-6;
}
