import { modelKinds } from "@genga/comfyui";
import { z } from "zod";

const [targetsMax, choicesMax] = [100, 1_000];

const integer = z
  .union(
    [z.int(), z.string().regex(/^-?\d{1,20}$/, { error: "must be a whole number, or its digits as text" })],
    {
      error: "must be a whole number, or its digits as text",
    },
  )
  .describe("A whole number. Beyond 2^53−1 its digits as text.");
const text = z.string().max(10_000);
const scalar = z.union([z.string().max(1_000), z.number(), z.boolean()]);

const common = {
  label: z.string().min(1).max(100).optional().describe("A short name for people."),
  description: z.string().max(1_000).optional(),
  optional: z
    .boolean()
    .optional()
    .describe(
      "Without a value the graph keeps what it has there. A parameter with neither this nor a default is required.",
    ),
  targets: z
    .array(z.strictObject({ node: z.string().min(1).max(200), input: z.string().min(1).max(200) }))
    .min(1)
    .max(targetsMax)
    .describe("Where the value goes: inputs of nodes which the graph has."),
};

export const templateParameterSchema = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("string"),
    ...common,
    default: text.optional(),
    lengthMin: z.int().min(0).max(10_000).optional(),
    lengthMax: z.int().min(1).max(10_000).optional().describe("In characters; 10,000 if it is absent."),
  }),
  z.strictObject({
    type: z.literal("integer"),
    ...common,
    default: integer.optional(),
    min: integer.optional(),
    max: integer.optional(),
    multipleOf: z.int().min(1).optional(),
  }),
  z.strictObject({
    type: z.literal("number"),
    ...common,
    default: z.number().optional(),
    min: z.number().optional(),
    max: z.number().optional(),
  }),
  z.strictObject({ type: z.literal("boolean"), ...common, default: z.boolean().optional() }),
  z.strictObject({
    type: z.literal("choice"),
    ...common,
    default: scalar.optional(),
    choices: z
      .array(scalar)
      .min(1)
      .max(choicesMax)
      .optional()
      .describe("Absent: what the servers' lists have when a job is submitted."),
  }),
  z.strictObject({
    type: z.literal("seed"),
    ...common,
    default: integer.optional().describe("Absent: drawn anew for each job, and kept with it."),
    min: integer.optional(),
    max: integer.optional().describe("2^64−1 if it is absent."),
  }),
  z.strictObject({
    type: z.literal("image"),
    ...common,
    default: z.uuid({ error: "must be the id of an upload" }).optional(),
  }),
  z.strictObject({
    type: z.literal("model"),
    ...common,
    default: z.string().min(1).max(1_000).optional(),
    kind: z.enum(modelKinds).optional().describe("As GET /models has it."),
    choices: z
      .array(z.string().min(1).max(1_000))
      .min(1)
      .max(choicesMax)
      .optional()
      .describe("Absent: what the servers have when a job is submitted."),
  }),
]);
export type TemplateParameter = z.output<typeof templateParameterSchema>;
