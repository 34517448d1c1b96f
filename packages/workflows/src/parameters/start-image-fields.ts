import { z } from "zod";
import { fileSchema } from "./output-reference.ts";
import { whenValid } from "./parameter-rules.ts";

const denoise = z
  .number()
  .min(0.01)
  .max(1)
  .optional()
  .describe("How much of initImage is drawn anew. Default: 0.6, or 1 with a mask.");

/** A start image: an upload, or an output of another job. */
export const startImageFields = {
  initImage: fileSchema
    .optional()
    .describe(
      "Upload to begin with, or an output of another job, for which this job then waits. It is scaled to width × height; what " +
        "stands out is cropped.",
    ),
  denoise,
};

/** A mask: the part of the start image to draw anew. */
export const maskFields = {
  mask: fileSchema
    .optional()
    .describe(
      "Upload, or output of another job, of initImage's size: white is drawn anew, black is kept. width and height must have initImage's proportions.",
    ),
  maskGrow: z
    .int()
    .min(0)
    .max(64)
    .optional()
    .describe("Pixels by which the mask grows, for a seamless edge; with denoise 1 only. Default: 6."),
};

export const denoiseNeedsImage = {
  check: (given: { initImage?: unknown; denoise?: unknown }): boolean =>
    given.denoise === undefined || given.initImage !== undefined,
  params: {
    path: ["denoise"],
    error: "denoise needs an initImage",
    ...whenValid(startImageFields),
  },
};

export const maskNeedsImage = {
  check: (given: { initImage?: unknown; mask?: unknown }): boolean =>
    given.mask === undefined || given.initImage !== undefined,
  params: {
    path: ["mask"],
    error: "a mask needs an initImage",
    ...whenValid({ initImage: startImageFields.initImage, mask: maskFields.mask }),
  },
};

export const growNeedsWholeMask = {
  check: (given: { mask?: unknown; maskGrow?: unknown; denoise?: number | undefined }): boolean =>
    given.maskGrow === undefined || (given.mask !== undefined && (given.denoise ?? 1) === 1),
  params: {
    path: ["maskGrow"],
    error: "maskGrow needs a mask, and denoise 1",
    ...whenValid({ ...maskFields, denoise }),
  },
};

/** The value of `denoise`, or its default. */
export function denoiseOf(given: {
  initImage?: unknown;
  mask?: unknown;
  denoise?: number | undefined;
}): number {
  if (given.initImage === undefined) return 1;
  return given.denoise ?? (given.mask === undefined ? 0.6 : 1);
}
