import { z } from "zod";
import { modelFile, whenValid } from "./parameter-rules.ts";

/** Models that Genga's users know; any other file that a server has is accepted too. */
export const defaultModel = "counterfeit_v3.safetensors";

/** A model that comes in parts, such as Flux and Wan. */
const componentsSchema = z.strictObject({
  unet: modelFile.describe("Diffusion model file."),
  weightType: z
    .string()
    .min(1)
    .max(64)
    .default("default")
    .describe("How its weights are held: fp8_e4m3fn, …"),
  textEncoders: z
    .array(modelFile)
    .min(1)
    .max(2)
    .describe("One or two text encoder files, in the loader's order."),
  textEncoderType: z
    .string()
    .min(1)
    .max(64)
    .optional()
    .describe(
      "What the text encoders belong to, as the servers' loaders list it: flux, sd3, sdxl, chroma, … Default: flux, which " +
        "takes two of them, or the video family's.",
    ),
  guidance: z
    .number()
    .min(0)
    .max(100)
    .optional()
    .describe("Distilled guidance, as Flux and Hunyuan have it; give cfg 1."),
  shift: z.number().min(0).max(100).optional().describe("Shift of the noise schedule, for flow models."),
});

const loraSchema = z.strictObject({
  name: modelFile.describe("LoRA file."),
  strength: z.number().min(-10).max(10).default(1).describe("How much it changes the model."),
  clipStrength: z
    .number()
    .min(-10)
    .max(10)
    .optional()
    .describe("How much it changes the reading of the prompt. Default: as strength."),
});

/** The model files with which a picture is made. */
export const modelFields = {
  model: modelFile
    .optional()
    .describe(`Checkpoint file (SD1.5, SDXL and their like) on the servers. Default: ${defaultModel}.`),
  components: componentsSchema
    .optional()
    .describe("In place of a checkpoint: a diffusion model with text encoders of its own. Needs vae."),
  vae: modelFile.optional().describe("VAE file in place of the checkpoint's own."),
  clipSkip: z
    .int()
    .min(1)
    .max(24)
    .optional()
    .describe("Read the prompt by this layer of CLIP, counted from the end. Default: the model's own."),
  loras: z.array(loraSchema).max(16).default([]).describe("Applied in this order."),
};

const { model, components, vae } = modelFields;

export const notBothModels = {
  check: (given: { model?: unknown; components?: unknown }): boolean =>
    given.model === undefined || given.components === undefined,
  params: {
    path: ["model"],
    error: "model is a whole checkpoint, and components take its place; give one of them",
    ...whenValid({ model, components }),
  },
};

export const componentsNeedVae = {
  check: (given: { components?: unknown; vae?: unknown }): boolean =>
    given.components === undefined || given.vae !== undefined,
  params: {
    path: ["vae"],
    error: "components come without a VAE; name one",
    ...whenValid({ components, vae }),
  },
};

/**
 * The model files with which a picture is made, with defaults filled in: there is a checkpoint or there are components.
 */
export type ModelParameters = z.output<z.ZodObject<typeof modelFields>>;
export type Components = z.output<typeof componentsSchema>;
