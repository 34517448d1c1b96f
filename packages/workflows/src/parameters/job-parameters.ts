import { randomInt } from "node:crypto";
import { InvalidJobError } from "@genga/jobs";
import { ExactNumber, roundNumbers } from "@genga/comfyui";
import { z } from "zod";
import { imageParametersSchema, type ImageParameters, type Seed } from "./image-parameters.ts";
import { noUploads, problemsOfUploads, sizeLike, uploadIdsIn, type KnownUploads } from "./known-uploads.ts";
import { type GivenFile } from "./output-reference.ts";
import { latentSpaceOf } from "./latent-spaces.ts";
import { defaultModel, type ModelParameters } from "./model-fields.ts";
import { problemsOf } from "./parameter-problems.ts";
import { videoParametersSchema, type VideoParameters } from "./video-parameters.ts";

/**
 * Fills in defaults and draws the seed.
 * @param uploads those that the parameters name
 * @throws InvalidJobError naming every parameter that is wrong
 */
export function parseImageParameters(
  parameters: unknown,
  uploads: KnownUploads = noUploads,
): ImageParameters {
  return complete(parse(imageParametersSchema, withOwnSize(parameters, uploads)), uploads);
}

/**
 * Fills in defaults and draws the seed.
 * @param uploads those that the parameters name
 * @throws InvalidJobError naming every parameter that is wrong
 */
export function parseVideoParameters(
  parameters: unknown,
  uploads: KnownUploads = noUploads,
): VideoParameters {
  return complete(parse(videoParametersSchema, parameters), uploads);
}

function parse<Parameters>(schema: z.ZodType<Parameters>, given: unknown): Parameters {
  const parameters = roundNumbers(withSeedAsText(given));
  const parsed = schema.safeParse(parameters);
  if (!parsed.success) throw new InvalidJobError(problemsOf(parsed.error, schema, parameters));
  return parsed.data;
}

/** Replaces a large seed by its text. Only seeds may be larger than the largest exact JavaScript number. */
function withSeedAsText(parameters: unknown): unknown {
  if (typeof parameters !== "object" || parameters === null || !("seed" in parameters)) return parameters;
  const { seed } = parameters;
  return seed instanceof ExactNumber && !seed.isFloat ? { ...parameters, seed: seed.text } : parameters;
}

type Incomplete = ModelParameters & {
  seed?: Seed | undefined;
  width: number;
  height: number;
  initImage?: GivenFile | undefined;
  mask?: GivenFile | undefined;
};

function complete<Parameters extends Incomplete>(
  parameters: Parameters,
  uploads: KnownUploads,
): Parameters & { seed: Seed } {
  const problems = problemsOfUploads(parameters, uploads);
  if (problems.length > 0) throw new InvalidJobError(problems);
  const model = parameters.components === undefined ? { model: parameters.model ?? defaultModel } : {};
  return { ...parameters, ...model, seed: seedOf(parameters.seed ?? drawSeed()) };
}

/** Writes each seed in one way: as a number if that keeps its value, otherwise as text. */
function seedOf(seed: Seed): Seed {
  const exact = BigInt(seed);
  return exact <= Number.MAX_SAFE_INTEGER ? Number(exact) : String(exact);
}

/** Gives a picture with a start image, and without a size, the size of the start image. */
function withOwnSize(parameters: unknown, uploads: KnownUploads): unknown {
  if (typeof parameters !== "object" || parameters === null || Array.isArray(parameters)) return parameters;
  if (Object.hasOwn(parameters, "width") || Object.hasOwn(parameters, "height")) return parameters;
  if (!Object.hasOwn(parameters, "initImage")) return parameters;
  const [initImage = ""] = uploadIdsIn(parameters);
  const upload = uploads.get(initImage);
  return upload === undefined
    ? parameters
    : { ...parameters, ...sizeLike(upload, ownSizeStepOf(parameters)) };
}

/** Multiples of 16, which suit most models, or of the step that the named components need. */
function ownSizeStepOf(parameters: object): number {
  const components = componentsShape.safeParse(parameters).data?.components;
  return Math.max(16, latentSpaceOf(components).step);
}
const componentsShape = z.object({ components: z.object({ textEncoderType: z.string().optional() }) });

/** Draws 48 random bits, the most that Node draws in one call. */
function drawSeed(): number {
  return randomInt(2 ** 48 - 1);
}
