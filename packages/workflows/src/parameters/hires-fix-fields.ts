import { z } from "zod";
import { modelFile } from "./parameter-rules.ts";

/** The largest side after a second pass, in pixels. */
export const hiresSideMax = 4096;

const hiresFixSchema = z.strictObject({
  scale: z
    .number()
    .min(1.05)
    .max(4)
    .default(1.5)
    .describe("Factor for width and height; sides become multiples of 8."),
  denoise: z.number().min(0.01).max(1).default(0.5).describe("How much the second pass draws anew."),
  steps: z.int().min(1).max(100).optional().describe("Steps of the second pass. Default: as steps."),
  upscaler: modelFile.optional().describe("Upscale model file. Absent: the latent is enlarged."),
  method: z
    .string()
    .min(1)
    .max(64)
    .optional()
    .describe(
      "How the latent is enlarged, as the servers list it: nearest-exact, bilinear, area, bicubic, bislerp. Default: " +
        "nearest-exact.",
    ),
});

export const hiresFixFields = {
  hiresFix: hiresFixSchema
    .refine(({ upscaler, method }) => upscaler === undefined || method === undefined, {
      path: ["method"],
      error: "method enlarges the latent, and an upscaler the picture; give one of them",
    })
    .optional()
    .describe("A second pass at a larger size."),
};

export type HiresFix = z.output<typeof hiresFixSchema>;

/** The size of the second pass, in whole steps of the model's latents. */
export function hiresSizeOf(
  size: { width: number; height: number },
  { scale }: HiresFix,
  latentStep: number,
): { width: number; height: number } {
  const scaled = (side: number): number => Math.round((side * scale) / latentStep) * latentStep;
  return { width: scaled(size.width), height: scaled(size.height) };
}
