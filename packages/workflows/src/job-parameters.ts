import { randomInt } from "node:crypto";
import { InvalidJobError } from "@genga/jobs";
import type { z } from "zod";
import { imageParametersSchema, type ImageParameters } from "./image-parameters.ts";
import { problemsOf } from "./parameter-problems.ts";
import { videoParametersSchema, type VideoParameters } from "./video-parameters.ts";

/** Fills in defaults and draws the seed. @throws InvalidJobError naming every parameter that is wrong */
export function parseImageParameters(parameters: unknown): ImageParameters {
  return withSeed(parse(imageParametersSchema, parameters));
}

/** Fills in defaults and draws the seed. @throws InvalidJobError naming every parameter that is wrong */
export function parseVideoParameters(parameters: unknown): VideoParameters {
  return withSeed(parse(videoParametersSchema, parameters));
}

function parse<Parameters>(schema: z.ZodType<Parameters>, parameters: unknown): Parameters {
  const parsed = schema.safeParse(parameters);
  if (!parsed.success) throw new InvalidJobError(problemsOf(parsed.error, schema, parameters));
  return parsed.data;
}

function withSeed<Parameters extends { seed?: number | undefined }>(
  parameters: Parameters,
): Parameters & { seed: number } {
  return { ...parameters, seed: parameters.seed ?? drawSeed() };
}

/** 48 random bits: what Node draws in one go, and as good as any. */
function drawSeed(): number {
  return randomInt(2 ** 48 - 1);
}
