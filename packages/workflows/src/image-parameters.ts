import { z } from "zod";

/** Models that Genga's users know; any other file that a server has is accepted too. */
const defaultModel = "counterfeit_v3.safetensors";

/** The largest seed that survives JSON in JavaScript; ComfyUI itself goes to 2^64 − 1. */
export const seedMax = Number.MAX_SAFE_INTEGER;

/** What every picture needs, moving or not. Values outside the bounds are refused, never rounded. */
export const pictureFields = {
  prompt: z
    .string()
    .min(1)
    .max(10_000)
    .regex(/\S/, { error: "must not be blank" })
    .describe("What to draw. Weights such as (smile:1.2) are passed through."),
  negativePrompt: z
    .string()
    .max(10_000)
    .default("worst quality, low quality, blurry")
    .describe("What to keep out of the picture."),
  width: z.int().min(256).max(2048).multipleOf(8).default(512).describe("Pixels, a multiple of 8."),
  height: z.int().min(256).max(2048).multipleOf(8).default(512).describe("Pixels, a multiple of 8."),
  steps: z.int().min(1).max(100).default(20).describe("Sampling steps."),
  cfg: z.number().min(1).max(20).default(7).describe("How closely the prompt is followed."),
  seed: z
    .int()
    .min(0)
    .max(seedMax)
    .optional()
    .describe("Same seed and parameters, same picture. Drawn once and kept when absent."),
  model: z.string().min(1).max(255).default(defaultModel).describe("Checkpoint file on the servers."),
  sampler: z.string().min(1).max(64).default("dpmpp_2m").describe("ComfyUI's sampler name."),
  scheduler: z.string().min(1).max(64).default("karras").describe("ComfyUI's noise schedule."),
};

/** Parameters of an `image` job: text to image. */
export const imageParametersSchema = z.strictObject({
  ...pictureFields,
  height: pictureFields.height.unwrap().default(768).describe("Pixels, a multiple of 8."),
  count: z.int().min(1).max(16).default(1).describe("Pictures of one job; they share everything but noise."),
});

/** With all defaults and the seed filled in. */
export type ImageParameters = z.output<typeof imageParametersSchema> & { seed: number };
