import { z } from "zod";
import { pictureFields } from "./image-parameters.ts";

/** Containers that a video may come in; which nodes write it depends on the server. */
export const videoFormats = ["mp4", "webm", "webp", "gif"] as const;
export type VideoFormat = (typeof videoFormats)[number];

const timingFields = {
  durationSeconds: z
    .number()
    .min(1)
    .max(10)
    .default(2)
    .describe("Length. durationSeconds × fps must be a whole number of frames."),
  fps: z.int().min(8).max(30).default(8).describe("Frames per second."),
};

const contextFields = {
  contextLength: z
    .int()
    .min(1)
    .max(32)
    .default(16)
    .describe("Frames that the motion model sees at once; longer videos are made of overlapping windows."),
  contextOverlap: z
    .int()
    .min(0)
    .max(31)
    .default(4)
    .describe("Frames that neighbouring windows share; less than contextLength."),
};

/** A rule about two fields speaks as soon as those two are fine, whatever else is wrong. */
const when = (fields: z.ZodObject) => ({
  when: ({ value }: { value: unknown }): boolean => fields.safeParse(value).success,
});

/** Parameters of a `video` job: text to video by AnimateDiff. */
export const videoParametersSchema = z
  .strictObject({
    ...pictureFields,
    ...timingFields,
    motionModel: z
      .string()
      .min(1)
      .max(255)
      .default("mm_sd_v15_v2.ckpt")
      .describe("AnimateDiff motion model file on the servers."),
    ...contextFields,
    format: z
      .enum(videoFormats)
      .optional()
      .describe("Container of the video. Absent: the best that the servers can write, mp4 first."),
  })
  .refine((video) => isWhole(video.durationSeconds * video.fps), {
    path: ["durationSeconds"],
    error: "durationSeconds × fps must be a whole number of frames",
    ...when(z.object(timingFields)),
  })
  .refine((video) => video.contextOverlap < video.contextLength, {
    path: ["contextOverlap"],
    error: "contextOverlap must be less than contextLength",
    ...when(z.object(contextFields)),
  });

/** With all defaults and the seed filled in. */
export type VideoParameters = z.output<typeof videoParametersSchema> & { seed: number };

/** How many frames a video of these parameters has. */
export function framesOf(video: Pick<VideoParameters, "durationSeconds" | "fps">): number {
  return Math.round(video.durationSeconds * video.fps);
}

/** 1.1 × 10 is 11.000000000000002 in floating point, and means 11. */
function isWhole(frames: number): boolean {
  return Math.abs(frames - Math.round(frames)) < 1e-6;
}
