import { isObject, type ModelKind } from "@genga/comfyui";
import { z } from "zod";
import { imageParametersSchema } from "../parameters/image-parameters.ts";
import { videoParametersSchema } from "../parameters/video-parameters.ts";

/** The graphs that Genga builds by itself, as templates. Their names belong to no tenant, and their version is 1. */
export const builtInTemplates = {
  image: {
    description:
      "One picture or several: text to image, image to image, inpainting, a second pass at a larger size.",
    parameters: once(() => describedParameters(imageParametersSchema)),
  },
  video: {
    description: "A video: AnimateDiff on a checkpoint, or a model that makes videos by itself.",
    parameters: once(() => describedParameters(videoParametersSchema)),
  },
} as const;

export type BuiltInTemplateName = keyof typeof builtInTemplates;

export function isBuiltInTemplate(name: string): name is BuiltInTemplateName {
  return Object.hasOwn(builtInTemplates, name);
}

/** Names that tenants cannot give to templates: of the built-in ones, of types of jobs, and of paths. */
export const reservedTemplateNames: ReadonlySet<string> = new Set([
  ...Object.keys(builtInTemplates),
  "workflow",
  "suggest",
]);

/** A parameter of a built-in template. `object`: what is too large for one value, described by its JSON Schema. */
export interface BuiltInParameter {
  type: "string" | "integer" | "number" | "boolean" | "choice" | "seed" | "image" | "model" | "object";
  description?: string;
  isRequired: boolean;
  default?: unknown;
  min?: number;
  max?: number;
  multipleOf?: number;
  lengthMin?: number;
  lengthMax?: number;
  choices?: unknown[];
  kind?: ModelKind;
  schema?: Record<string, unknown>;
}

const modelKindOfParameter: Partial<Record<string, ModelKind>> = {
  model: "checkpoints",
  vae: "vae",
  motionModel: "motion-modules",
  motionModule: "motion-modules",
};
const listedByServers = new Set(["sampler", "scheduler"]);
const images = new Set(["initImage", "mask"]);

function describedParameters(schema: z.ZodType): Record<string, BuiltInParameter> {
  const described = z.toJSONSchema(schema, { io: "input", unrepresentable: "any", reused: "inline" });
  const required = new Set(described.required);
  const entries = Object.entries(described.properties ?? {}).map(([name, field]) => {
    const asked = isObject(field) ? field : {};
    return [name, describedParameter(name, asked, required.has(name))] as const;
  });
  return Object.fromEntries(entries);
}

function describedParameter(
  name: string,
  field: Record<string, unknown>,
  isRequired: boolean,
): BuiltInParameter {
  const type = typeOf(name, field);
  const { description, minimum, maximum, multipleOf, minLength, maxLength } = field;
  const kind = type === "model" ? modelKindOfParameter[name] : undefined;
  return {
    type,
    ...(typeof description === "string" && { description }),
    isRequired,
    ...(field["default"] !== undefined && { default: field["default"] }),
    ...numberAs("min", type === "seed" ? 0 : minimum),
    ...numberAs("max", maximum),
    ...numberAs("multipleOf", multipleOf),
    ...(type === "string" && { ...numberAs("lengthMin", minLength), ...numberAs("lengthMax", maxLength) }),
    ...(Array.isArray(field["enum"]) && { choices: field["enum"] as unknown[] }),
    ...(kind !== undefined && { kind }),
    ...(type === "object" && { schema: field }),
  };
}

function typeOf(name: string, field: Record<string, unknown>): BuiltInParameter["type"] {
  if (name === "seed") return "seed";
  if (images.has(name)) return "image";
  if (Object.hasOwn(modelKindOfParameter, name)) return "model";
  if (listedByServers.has(name) || Array.isArray(field["enum"])) return "choice";
  const { type } = field;
  return type === "string" || type === "integer" || type === "number" || type === "boolean" ? type : "object";
}

function numberAs(name: string, value: unknown): Record<string, number> {
  return typeof value === "number" && Math.abs(value) <= Number.MAX_SAFE_INTEGER ? { [name]: value } : {};
}

function once<Value>(make: () => Value): () => Value {
  let made: { value: Value } | undefined;
  return () => (made ??= { value: make() }).value;
}
