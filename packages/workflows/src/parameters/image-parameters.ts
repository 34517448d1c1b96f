import { z } from "zod";
import { hiresFixFields, hiresSideMax, hiresSizeOf } from "./hires-fix-fields.ts";
import { latentSpaceOf } from "./latent-spaces.ts";
import { componentsNeedVae, modelFields, notBothModels } from "./model-fields.ts";
import { outputOptionFields } from "./output-options.ts";
import { whenValid } from "./parameter-rules.ts";
import {
  denoiseNeedsImage,
  growNeedsWholeMask,
  maskFields,
  maskNeedsImage,
  startImageFields,
} from "./start-image-fields.ts";

/** The largest seed of ComfyUI's samplers. */
export const seedMax = 2n ** 64n - 1n;

const digits = /^\d{1,20}$/;
const seedText = `must be a whole number from 0 to ${seedMax}`;

/**
 * JavaScript numbers are exact only up to 2^53−1, so larger seeds are text. A request's body may also have them as
 * numbers.
 */
const seed = z.union(
  [
    z.int().min(0).max(Number.MAX_SAFE_INTEGER),
    z
      .string()
      .regex(digits, { error: seedText })
      .refine((text) => !digits.test(text) || BigInt(text) <= seedMax, {
        error: `the largest seed is ${seedMax}`,
      }),
  ],
  { error: seedText },
);

/** A number, or the digits of one beyond 2^53−1. */
export type Seed = number | string;

/** The fields of every picture, still or moving. Values outside the bounds are refused, never rounded. */
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
  seed: seed
    .optional()
    .describe(
      `Same seed and parameters, same picture. Drawn once and kept when absent. From 0 to ${seedMax}; answers write seeds ` +
        "beyond 2^53−1 as text, and such text is accepted for any seed.",
    ),
  sampler: z.string().min(1).max(64).default("dpmpp_2m").describe("ComfyUI's sampler name."),
  scheduler: z.string().min(1).max(64).default("karras").describe("ComfyUI's noise schedule."),
  ...modelFields,
  ...startImageFields,
  ...outputOptionFields,
};

const imageSize = {
  width: pictureFields.width.describe(
    "Pixels, a multiple of 8. With an initImage and no size at all: as the initImage, fitted into the bounds.",
  ),
  height: pictureFields.height.unwrap().default(768).describe("Pixels, a multiple of 8."),
};
const { components } = modelFields;
const { hiresFix } = hiresFixFields;

/** Parameters of an `image` job: text to image, image to image, inpainting. */
export const imageParametersSchema = z
  .strictObject({
    ...pictureFields,
    ...imageSize,
    ...maskFields,
    ...hiresFixFields,
    count: z
      .int()
      .min(1)
      .max(16)
      .default(1)
      .describe("Pictures of one job; they share everything but noise."),
  })
  .refine(notBothModels.check, notBothModels.params)
  .refine(componentsNeedVae.check, componentsNeedVae.params)
  .refine(denoiseNeedsImage.check, denoiseNeedsImage.params)
  .refine(maskNeedsImage.check, maskNeedsImage.params)
  .refine(growNeedsWholeMask.check, growNeedsWholeMask.params)
  .superRefine(
    (image, context) => {
      const { step } = latentSpaceOf(image.components);
      for (const side of ["width", "height"] as const) {
        if (image[side] % step === 0) continue;
        const message = `${side} must be a multiple of ${step} with such components`;
        context.addIssue({ code: "custom", path: [side], message });
      }
    },
    whenValid({ width: imageSize.width, height: imageSize.height, components }),
  )
  .refine((image) => image.hiresFix === undefined || image.mask === undefined, {
    path: ["hiresFix"],
    error: "a second pass would redraw what the mask keeps; leave out hiresFix or mask",
    ...whenValid({ hiresFix, mask: maskFields.mask }),
  })
  .refine(
    (image) => {
      if (image.hiresFix === undefined) return true;
      const { width, height } = hiresSizeOf(image, image.hiresFix, latentSpaceOf(image.components).step);
      return Math.max(width, height) <= hiresSideMax;
    },
    {
      path: ["hiresFix", "scale"],
      error: `the scaled picture may have sides of ${hiresSideMax} pixels at most`,
      ...whenValid({ ...imageSize, hiresFix, components }),
    },
  );

/** With all defaults and the seed filled in. */
export type ImageParameters = z.output<typeof imageParametersSchema> & { seed: Seed };
