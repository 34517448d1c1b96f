import { modelKinds } from "@genga/comfyui";
import { templateDefinitionFields, templateNamePattern } from "@genga/workflows";
import { z } from "zod";

const nameSchema = z.string().regex(templateNamePattern, {
  error: "must have 1 to 64 of the characters a-z, 0-9, point, _ and -, and begin with a letter or digit",
});

/** The body that stores a template. */
export const newTemplateSchema = z.strictObject({ name: nameSchema, ...templateDefinitionFields });
/** The body that adds a version to one. */
const templateVersionSchema = z.strictObject(templateDefinitionFields);
export const graphSchema = z.strictObject({ workflow: templateDefinitionFields.workflow });

const parameterTypes = [
  ...(["string", "integer", "number", "boolean", "choice", "seed", "image", "model", "object"] as const),
] as const;
const wholeNumber = z.union([z.number(), z.string()]);

const parameterViewSchema = z.object({
  type: z.enum(parameterTypes).describe("`object`: of built-in templates only, described by `schema`."),
  label: z.string().optional(),
  description: z.string().optional(),
  isRequired: z.boolean().describe("A job needs a value for it."),
  optional: z.boolean().optional().describe("Without a value the graph keeps what it has there."),
  default: z.unknown().optional(),
  min: wholeNumber.optional(),
  max: wholeNumber.optional(),
  multipleOf: z.number().optional(),
  lengthMin: z.int().optional(),
  lengthMax: z.int().optional(),
  kind: z.enum(modelKinds).optional(),
  choices: z.array(z.unknown()).optional().describe("At most 1,000."),
  choicesFrom: z
    .enum(["template", "servers"])
    .optional()
    .describe("`servers`: what their lists have now; a job is judged by what they have then."),
  targets: z.array(z.object({ node: z.string(), input: z.string() })).optional(),
  schema: z.record(z.string(), z.unknown()).optional(),
});
export type ParameterView = z.infer<typeof parameterViewSchema>;

const links = z.record(z.string(), z.url());

/** A template in a list. */
export const templateViewSchema = z.object({
  name: z.string(),
  version: z.int(),
  latestVersion: z.int(),
  isBuiltIn: z.boolean().describe("Everybody has it, and nobody can change it."),
  description: z.string().nullable(),
  createdAt: z.iso.datetime().nullable().describe("When this version was stored; null for a built-in one."),
  createdBy: z.string().nullable().describe("The name of the key that stored this version."),
  archivedAt: z.iso.datetime().nullable().describe("Since when it takes no new jobs."),
  links,
});

/** One version, with all that it is made of. */
export const templateDetailSchema = templateViewSchema.extend({
  parameters: z.record(z.string(), parameterViewSchema),
  workflow: z
    .record(z.string(), z.unknown())
    .nullable()
    .describe("The graph; null for a built-in template, whose graph depends on its values."),
  keepPreviews: z.boolean().optional(),
  stripMetadata: z.boolean().optional(),
});

/** The answer to a stored template: it, and what is to be known about it. */
const storedTemplateSchema = templateDetailSchema.extend({
  warnings: z.array(z.string()).describe("Among them why no known server can run it with its defaults now."),
  notChecked: z.array(z.string()),
});

const suggestedTemplateSchema = z.object({
  parameters: z
    .record(z.string(), z.unknown())
    .describe("As a template takes them; the values that the graph has are the defaults."),
  basis: z
    .enum(["definitions", "both", "usual-names"])
    .describe(
      "Whether the types of inputs come from the servers' definitions, or from the usual names of inputs.",
    ),
  unknownClasses: z
    .array(z.string())
    .describe("Classes that no known server has; their inputs were judged by their usual names."),
  warnings: z.array(z.string()),
});

/** By their names in the OpenAPI document. */
export const templateBodySchemas = {
  NewTemplate: newTemplateSchema,
  TemplateVersion: templateVersionSchema,
  Graph: graphSchema,
} as const;
export const templateAnswerSchemas = {
  Template: templateViewSchema,
  TemplatePage: z.object({ templates: z.array(templateViewSchema), nextCursor: z.string().nullable() }),
  TemplateDetail: templateDetailSchema,
  StoredTemplate: storedTemplateSchema,
  SuggestedTemplate: suggestedTemplateSchema,
} as const;
