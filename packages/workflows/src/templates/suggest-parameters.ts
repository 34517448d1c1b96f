import {
  fileKindOf,
  linkOf,
  listOf,
  modelKindOf,
  numberOf,
  specOf,
  toClientJson,
  type InputSpec,
  type ObjectInfo,
  type Workflow,
} from "@genga/comfyui";
import { checkValue } from "./parameter-values.ts";
import { promptInput, promptRolesOf, type PromptRole } from "./prompt-roles.ts";
import { type TemplateParameter } from "./template-parameter.ts";

/** What a graph's author probably wants to change. */
export interface SuggestedParameters {
  parameters: Record<string, TemplateParameter>;
  /** Classes that no known server has; their inputs are judged by their usual names. */
  unknownClasses: string[];
}

const suggestionsMax = 100;
/** So many inputs of all parameters together, and of one, may a template have. */
const [targetsOfAllMax, targetsMax] = [1_000, 100];
const modelFile = /\.(safetensors|ckpt|pt|pth|bin|gguf|sft|onnx)$/i;

/** The usual names of numbers that people change, and the names of their parameters. */
const numbers: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/^width$/, "width"],
  [/^height$/, "height"],
  [/^batch_size$/, "count"],
  [/^steps$/, "steps"],
  [/^cfg$/, "cfg"],
  [/^denoise$/, "denoise"],
  [/^guidance$/, "guidance"],
  [/^shift$/, "shift"],
  [/^(length|num_frames|frames|video_length)$/, "frames"],
  [/^(fps|frame_rate)$/, "fps"],
  [/^strength(_model)?$/, "strength"],
];

/** Suggests parameters of a graph. @param catalogues the known servers' definitions, each set once */
export function suggestParameters(
  workflow: Workflow,
  catalogues: readonly ObjectInfo[],
): SuggestedParameters {
  const roles = promptRolesOf(workflow);
  const found = new Map<string, { parameter: TemplateParameter; value: unknown }>();
  const unknownClasses = new Set<string>();
  let targetsOfAll = 0;
  for (const [node, { class_type: classType, inputs }] of Object.entries(workflow)) {
    const objectInfo = catalogues.find((each) => Object.hasOwn(each, classType));
    if (objectInfo === undefined) unknownClasses.add(classType);
    for (const [input, value] of Object.entries(inputs)) {
      if (linkOf(value) !== undefined || found.size >= suggestionsMax) continue;
      if (targetsOfAll >= targetsOfAllMax) continue;
      const definition = objectInfo?.[classType];
      const spec = definition === undefined ? undefined : specOf(definition, input);
      const role = roles.get(JSON.stringify([node, input]));
      const suggested = suggest({ classType, input, value, spec, role });
      if (suggested !== undefined && add(found, suggested, { node, input }, value)) targetsOfAll += 1;
    }
  }
  const parameters = Object.fromEntries([...found].map(([name, { parameter }]) => [name, parameter]));
  return { parameters, unknownClasses: [...unknownClasses].sort() };
}

/**
 * Several inputs with one value and one meaning, such as the width in two nodes, become one parameter.
 * @returns false when this parameter has as many inputs as it may have
 */
function add(
  found: Map<string, { parameter: TemplateParameter; value: unknown }>,
  { name, parameter }: Suggested,
  target: { node: string; input: string },
  value: unknown,
): boolean {
  for (let number = 1; ; number += 1) {
    const numbered = number === 1 ? name : `${name}${number}`;
    const same = found.get(numbered);
    if (same === undefined) {
      found.set(numbered, { parameter: { ...parameter, targets: [target] }, value });
      return true;
    }
    if (same.parameter.type === parameter.type && String(same.value) === String(value)) {
      if (same.parameter.targets.length >= targetsMax) return false;
      same.parameter.targets.push(target);
      return true;
    }
  }
}

interface Suggested {
  name: string;
  parameter: TemplateParameter;
}

interface Place {
  classType: string;
  input: string;
  value: unknown;
  /** As a server describes the input; absent where none does. */
  spec: InputSpec | undefined;
  role: PromptRole | undefined;
}

const targets: TemplateParameter["targets"] = [];

function suggest(place: Place): Suggested | undefined {
  const { classType, input, value, spec, role } = place;
  if (typeof value === "string") {
    if (fileKindOf(classType, input, spec) === "image")
      return { name: "image", parameter: { type: "image", optional: true, targets } };
    if (isPlainText(spec) && (role !== undefined || promptInput.test(input))) {
      const name = role ?? "text";
      return value.length > 10_000
        ? undefined
        : { name, parameter: { type: "string", default: value, targets } };
    }
    return suggestChoice(place, value);
  }
  return numberOf(value) === undefined ? undefined : suggestNumber(place);
}

function isPlainText(spec: InputSpec | undefined): boolean {
  return spec === undefined || spec[0] === "STRING";
}

function suggestChoice({ classType, input, spec }: Place, value: string): Suggested | undefined {
  if (spec !== undefined && listOf(spec) === undefined && spec[0] !== "COMBO") return undefined;
  const kind = modelKindOf(classType, input);
  if (kind === "samplers" || kind === "schedulers") {
    const name = kind === "samplers" ? "sampler" : "scheduler";
    return { name, parameter: { type: "choice", default: value, targets } };
  }
  if (kind === undefined && !modelFile.test(value)) return undefined;
  const isMain = kind === "checkpoints" || kind === "diffusion-models";
  const name = isMain ? "model" : camelCased(input.replace(/_name(_?\d*)$/i, "$1"));
  return { name, parameter: { type: "model", default: value, ...(kind !== undefined && { kind }), targets } };
}

function suggestNumber({ input, value, spec }: Place): Suggested | undefined {
  const options = spec?.[1] ?? {};
  const [low, high, step] = [options["min"], options["max"], options["step"]];
  if (/^(noise_)?seed$/i.test(input) || (spec?.[0] === "INT" && options["control_after_generate"] === true)) {
    // 2^64−1, the usual bound, is more than definitions can say exactly.
    const max = Number.isSafeInteger(high) ? { max: Number(high) } : {};
    return { name: "seed", parameter: { type: "seed", ...max, targets } };
  }
  const name = numbers.find(([pattern]) => pattern.test(input))?.[1];
  if (name === undefined) return undefined;
  const isInteger = spec === undefined ? Number.isInteger(value) : spec[0] === "INT";
  const given = toClientJson(value) as number;
  const common = { default: given, targets } as const;
  if (!isInteger) {
    const bounds = { ...numberAs("min", low), ...numberAs("max", high) };
    return {
      name,
      parameter: fitting({ type: "number", ...common, ...bounds }, { type: "number", ...common }),
    };
  }
  const bounds = { ...integerAs("min", low), ...integerAs("max", high) };
  const multipleOf = Number.isSafeInteger(step) && Number(step) > 1 ? { multipleOf: Number(step) } : {};
  return {
    name,
    parameter: fitting(
      { type: "integer", ...common, ...bounds, ...multipleOf },
      { type: "integer", ...common },
    ),
  };
}

/** The value that the graph has is always accepted. */
function fitting(parameter: TemplateParameter, unbounded: TemplateParameter): TemplateParameter {
  return "problem" in checkValue(parameter, parameter.default, "") ? unbounded : parameter;
}

function numberAs<Name extends string>(name: Name, value: unknown): Partial<Record<Name, number>> {
  return typeof value === "number" && Number.isFinite(value)
    ? ({ [name]: value } as Record<Name, number>)
    : {};
}

function integerAs<Name extends string>(name: Name, value: unknown): Partial<Record<Name, number>> {
  return Number.isSafeInteger(value) ? ({ [name]: Number(value) } as Record<Name, number>) : {};
}

function camelCased(input: string): string {
  const name = input.replace(/[^A-Za-z0-9]+(.)?/g, (_all, next: string | undefined) =>
    (next ?? "").toUpperCase(),
  );
  return /^[A-Za-z]/.test(name) ? name.slice(0, 50) : `value${name}`.slice(0, 50);
}
