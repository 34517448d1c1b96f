import { isObject } from "@genga/comfyui";
import { InvalidJobError, type JobProblem } from "@genga/jobs";
import { problemsOf, readDefinition, reservedTemplateNames, type TemplateDefinition } from "@genga/workflows";
import { z } from "zod";
import { newTemplateSchema } from "../schemas/templates.ts";

/** A definition that a client sent, and the text that is stored of it. */
export interface ReadTemplate {
  definition: TemplateDefinition;
  text: string;
}

const nameOnly = z.object({ name: newTemplateSchema.shape.name });

/** Reads `{name, …definition}`. @throws InvalidJobError naming every problem */
export function readNewTemplate(body: unknown): ReadTemplate & { name: string } {
  const { name, ...definition } = isObject(body) ? body : {};
  const problems = problemsOfName(name);
  try {
    const read = readDefinition(isObject(body) ? definition : body);
    if (problems.length === 0) return { ...read, name: String(name) };
  } catch (error) {
    if (!(error instanceof InvalidJobError)) throw error;
    problems.push(...error.problems);
  }
  throw new InvalidJobError(problems);
}

function problemsOfName(name: unknown): JobProblem[] {
  const parsed = nameOnly.safeParse({ name });
  if (!parsed.success) return problemsOf(parsed.error, nameOnly, { name });
  if (!reservedTemplateNames.has(parsed.data.name)) return [];
  const message = `name: ${parsed.data.name} is a name that Genga keeps for itself.`;
  return [{ path: "name", code: "invalid-value", message, received: parsed.data.name }];
}
