import { isObject, type Workflow } from "@genga/comfyui";
import { InvalidJobError, type JobProblem, type Json, type Upload } from "@genga/jobs";
import { shorten } from "../parameters/parameter-problems.ts";
import { checkValue, drawSeed } from "./parameter-values.ts";
import { type TemplateDefinition } from "./template-definition.ts";
import { type TemplateParameter } from "./template-parameter.ts";

/** A graph made of a template. */
export interface FilledTemplate {
  /** Nodes that no parameter changes are the template's own. */
  workflow: Workflow;
  /** The values that it was made with: those that were given, defaults and drawn seeds. */
  values: Record<string, Json>;
  /** A problem of the graph, as a problem of the value that caused it. */
  asSaid: (problem: JobProblem) => JobProblem;
}

const problemsMax = 100;
/** Of the text that values put into one graph, each counted as often as it has targets. */
const placedCharactersMax = 10_000_000;

/**
 * Puts values into the graph of a template. The template's own objects stay as they are.
 * @param given what the client sent as `values`
 * @param uploads the tenant's uploads by id, those that the values and the defaults name
 * @throws InvalidJobError with paths such as `values.steps`
 */
export function fillTemplate(
  { workflow, parameters }: TemplateDefinition,
  given: unknown,
  uploads: ReadonlyMap<string, Upload>,
): FilledTemplate {
  if (!isObject(given)) throw new InvalidJobError([notAnObject(given)]);
  const problems = unknownValues(given, Object.keys(parameters));
  const values: [string, Json][] = [];
  const placed = new Map<string, Map<string, unknown>>();
  let characters = 0;
  const nameOfPlace = new Map<string, string>();
  for (const [name, parameter] of Object.entries(parameters)) {
    const value = valueOf(name, parameter, given);
    if (value === undefined && parameter.optional === true) continue;
    const checked =
      value === undefined
        ? missing(name, parameter)
        : checkValue(parameter, value, `values.${name}`, uploads);
    if ("problem" in checked) problems.push(checked.problem);
    if ("problem" in checked) continue;
    if (typeof checked.kept === "string") characters += checked.kept.length * parameter.targets.length;
    if (characters > placedCharactersMax) throw new InvalidJobError([tooMuchText(name, parameter)]);
    values.push([name, checked.kept]);
    for (const { node, input } of parameter.targets) {
      const inputs = placed.get(node) ?? new Map<string, unknown>();
      placed.set(node, inputs.set(input, checked.value));
      nameOfPlace.set(placeOf(node, input), name);
    }
  }
  if (problems.length > 0) throw new InvalidJobError(problems.slice(0, problemsMax));
  const filled = [...placed].flatMap(([node, inputs]): [string, Workflow[string]][] => {
    const known = Object.hasOwn(workflow, node) ? workflow[node] : undefined;
    return known === undefined
      ? []
      : [[node, { ...known, inputs: { ...known.inputs, ...Object.fromEntries(inputs) } }]];
  });
  return {
    workflow: { ...workflow, ...Object.fromEntries(filled) },
    values: Object.fromEntries(values),
    asSaid: (problem) => saidAsValue(problem, nameOfPlace),
  };
}

function valueOf(name: string, parameter: TemplateParameter, given: Record<string, unknown>): unknown {
  if (Object.hasOwn(given, name)) return given[name];
  if (parameter.default !== undefined) return parameter.default;
  return parameter.type === "seed" && parameter.optional !== true ? drawSeed(parameter) : undefined;
}

function missing(name: string, { type }: TemplateParameter): { problem: JobProblem } {
  const path = `values.${name}`;
  const message = `${path} is missing; the template needs a value for it (${type}).`;
  return { problem: { path, code: "missing-field", message, accepted: type } };
}

function tooMuchText(name: string, { targets }: TemplateParameter): JobProblem {
  const path = `values.${name}`;
  const message =
    `${path} goes to ${targets.length} inputs, with which the values of the graph have more than ` +
    `${placedCharactersMax} characters; shorten it.`;
  return { path, code: "out-of-bounds", message };
}

function unknownValues(given: Record<string, unknown>, names: readonly string[]): JobProblem[] {
  const known = new Set(names);
  const unknown = Object.keys(given).filter((name) => !known.has(name));
  return unknown.slice(0, problemsMax).map((name) => ({
    path: `values.${name}`.slice(0, 200),
    code: "unknown-field",
    message: `The template has no parameter ${name.slice(0, 100)}.`,
    received: name.slice(0, 100),
    accepted: names,
  }));
}

function notAnObject(given: unknown): JobProblem {
  const received = given === null ? "null" : shorten(given);
  const message = "values must be an object: the values of the template's parameters, by name.";
  return { path: "values", code: "wrong-type", message, received, accepted: "object" };
}

/** As paths of problems have it. */
function placeOf(node: string, input: string): string {
  return `workflow.${node}.inputs.${input}`;
}

/** What a client did not send is named as a part of the template. */
function saidAsValue(problem: JobProblem, nameOfPlace: ReadonlyMap<string, string>): JobProblem {
  const { path, nodeId, input } = problem;
  const place = nodeId === undefined || input === undefined ? path : placeOf(nodeId, input);
  const name = nameOfPlace.get(place) ?? nameOfPlace.get(path);
  if (name !== undefined) return { ...problem, path: `values.${name}` };
  const isOfGraph = path === "workflow" || path.startsWith("workflow.");
  return isOfGraph ? { ...problem, path: `template.${path}` } : problem;
}

/** The uploads that the defaults of a template's images name. */
export function defaultUploadsOf({ parameters }: TemplateDefinition): string[] {
  return Object.values(parameters).flatMap((parameter) =>
    parameter.type === "image" && parameter.default !== undefined ? [parameter.default.toLowerCase()] : [],
  );
}

/** The parameters of these types, by name. */
export function parametersOfType(
  { parameters }: TemplateDefinition,
  type: TemplateParameter["type"],
): string[] {
  return Object.entries(parameters).flatMap(([name, parameter]) => (parameter.type === type ? [name] : []));
}
