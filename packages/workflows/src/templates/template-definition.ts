import {
  isObject,
  linkOf,
  parseExactJson,
  stringifyExactJson,
  toClientJson,
  type Workflow,
} from "@genga/comfyui";
import { InvalidJobError, type JobProblem } from "@genga/jobs";
import { z } from "zod";
import { problemsOfJson } from "../parameters/json-limits.ts";
import { outputOptionFields } from "../parameters/output-options.ts";
import { problemsOf } from "../parameters/parameter-problems.ts";
import { checkValue } from "./parameter-values.ts";
import { readGraph } from "./read-graph.ts";
import { templateParameterSchema, type TemplateParameter } from "./template-parameter.ts";

/** Names of templates: in paths, in lower case. */
export const templateNamePattern = /^[a-z0-9][a-z0-9._-]{0,63}$/;
/** Names of parameters. Without points, since paths of problems and of sweeps have these between names. */
const parameterNamePattern = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;

const parametersMax = 100;
/** Of all parameters together: each filling of the graph sets all of them. */
const targetsOfAllMax = 1_000;
/** Of the definition as JSON text: a graph of some thousand nodes. */
const definitionCharactersMax = 1_000_000;

/** The members of a stored definition. */
export const templateDefinitionFields = {
  description: z.string().max(2_000).optional(),
  workflow: z
    .record(z.string(), z.looseObject({ class_type: z.string(), inputs: z.record(z.string(), z.unknown()) }))
    .describe("A ComfyUI graph in API format."),
  parameters: z
    .record(
      z.string().regex(parameterNamePattern, {
        error: "must begin with a letter, and have letters, digits, _ and - only",
      }),
      templateParameterSchema,
    )
    .describe("By name, in the order in which they are shown; at most 100, with 1,000 targets in all."),
  ...outputOptionFields,
};
const definitionSchema = z.strictObject(templateDefinitionFields);
const definitionShape = z.strictObject({ ...templateDefinitionFields, workflow: z.unknown().nonoptional() });

/** What a template is made of. Numbers of its graph are as they were written. */
export interface TemplateDefinition {
  description?: string | undefined;
  workflow: Workflow;
  parameters: Record<string, TemplateParameter>;
  keepPreviews?: boolean | undefined;
  stripMetadata?: boolean | undefined;
}

/**
 * Reads a definition that a client sent, as far as that is possible without knowing any server.
 * @returns it, and the text that is stored; the same definition always has the same text
 * @throws InvalidJobError naming every problem
 */
export function readDefinition(given: unknown): { definition: TemplateDefinition; text: string } {
  const unstorable = problemsOfJson(given);
  if (unstorable.length > 0) throw new InvalidJobError(unstorable);
  const members = isObject(given) ? { ...given, parameters: toClientJson(given["parameters"]) } : given;
  const parsed = definitionShape.safeParse(members);
  if (!parsed.success) throw new InvalidJobError(problemsOf(parsed.error, definitionSchema, members));
  const { workflow, ...others } = parsed.data;
  const definition: TemplateDefinition = { ...others, workflow: readGraph(workflow) };
  const problems = problemsOfParameters(definition);
  if (problems.length > 0) throw new InvalidJobError(problems.slice(0, problemsMax));
  const text = stringifyExactJson(definition);
  if (text.length > definitionCharactersMax) {
    const message = `The template has ${text.length} characters; it may have ${definitionCharactersMax}.`;
    throw new InvalidJobError([{ path: "workflow", code: "out-of-bounds", message }]);
  }
  return { definition, text };
}

const problemsMax = 100;

/** Reads a definition that was stored. @throws TypeError it is none */
export function parseDefinition(stored: string): TemplateDefinition {
  const value = parseExactJson(stored);
  if (!isObject(value) || !isObject(value["workflow"]) || !isObject(value["parameters"]))
    throw new TypeError("The stored text is no template.");
  return value as unknown as TemplateDefinition;
}

function problemsOfParameters({ workflow, parameters }: TemplateDefinition): JobProblem[] {
  const entries = Object.entries(parameters);
  if (entries.length > parametersMax) {
    const message = `parameters has ${entries.length} members; a template may have ${parametersMax}.`;
    return [{ path: "parameters", code: "out-of-bounds", message, accepted: { max: parametersMax } }];
  }
  const targets = entries.reduce((sum, [, parameter]) => sum + parameter.targets.length, 0);
  if (targets > targetsOfAllMax) {
    const message = `parameters have ${targets} targets together; those of a template may have ${targetsOfAllMax}.`;
    return [{ path: "parameters", code: "out-of-bounds", message, accepted: { max: targetsOfAllMax } }];
  }
  const taken = new Map<string, string>();
  return entries.flatMap(([name, parameter]) => [
    ...problemsOfTargets(name, parameter, { workflow, taken }),
    ...problemsOfBounds(`parameters.${name}`, parameter),
  ]);
}

/** @param context.taken the inputs that other parameters set, with these parameters' names */
function problemsOfTargets(
  name: string,
  { targets }: TemplateParameter,
  { workflow, taken }: { workflow: Workflow; taken: Map<string, string> },
): JobProblem[] {
  return targets.flatMap(({ node, input }, index): JobProblem[] => {
    const path = `parameters.${name}.targets.${index}`;
    const place = JSON.stringify([node, input]);
    const other = taken.get(place);
    taken.set(place, name);
    if (other !== undefined) {
      const message = `${path}: the parameter ${other} sets the input ${input} of node ${node} already.`;
      return [{ path, code: "invalid-value", message }];
    }
    const reason = lackOfTarget(workflow, node, input);
    return reason === undefined ? [] : [{ path, code: "unknown-target", message: `${path}: ${reason}.` }];
  });
}

function lackOfTarget(workflow: unknown, node: string, input: string): string | undefined {
  const found = isObject(workflow) && Object.hasOwn(workflow, node) ? workflow[node] : undefined;
  if (!isObject(found)) return `the workflow has no node ${node}`;
  const inputs = found["inputs"];
  if (!isObject(inputs) || !Object.hasOwn(inputs, input))
    return `node ${node} has no input ${input}; give it a value in the workflow, too`;
  return linkOf(inputs[input]) === undefined
    ? undefined
    : `the input ${input} of node ${node} is a link to another node, which a value would cut`;
}

function problemsOfBounds(path: string, parameter: TemplateParameter): JobProblem[] {
  const [low, high] = boundsOf(parameter);
  if (low !== undefined && high !== undefined && low > high) {
    const message = `${path}: the lower bound ${low} is above the upper bound ${high}.`;
    return [{ path, code: "out-of-bounds", message }];
  }
  if (parameter.default === undefined) return [];
  if (parameter.optional === true) {
    const message = `${path}.default cannot come together with optional: the default is the value where none is given.`;
    return [{ path: `${path}.default`, code: "invalid-value", message }];
  }
  const checked = checkValue(parameter, parameter.default, `${path}.default`);
  return "problem" in checked ? [checked.problem] : [];
}

function boundsOf(parameter: TemplateParameter): (number | bigint | undefined)[] {
  switch (parameter.type) {
    case "string":
      return [parameter.lengthMin, parameter.lengthMax];
    case "number":
      return [parameter.min, parameter.max];
    case "integer":
    case "seed":
      return [parameter.min, parameter.max].map((bound) => (bound === undefined ? undefined : BigInt(bound)));
    case "boolean":
    case "choice":
    case "image":
    case "model":
      return [];
  }
}
