import { show, type InputProblem } from "../graph/graph-problem.ts";
import { listOf, type InputSpec } from "../classes/object-info.ts";
import {
  isEqualInPython,
  isTruthyInPython,
  toComparable,
  toPythonFloat,
  toPythonInt,
  toPythonText,
} from "../graph/python-values.ts";
import { checkRange, isAtRoundedMin, rangeOf, type Range } from "./accepted-range.ts";
import { namesOf } from "../classes/slot-types.ts";
import { linkOf } from "../graph/workflow.ts";
import { unknownOptionsOf } from "../classes/widget-options.ts";

/**
 * The result of judging a literal value: `error` refuses the graph, `warning` describes how the server changes the
 * value.
 */
export interface ValueVerdict {
  error?: InputProblem;
  warning?: InputProblem;
  /** The reason why only the server can judge this value. */
  notChecked?: string;
}

/**
 * Types whose values only another node can make. A literal of such a type passes the server's validation and fails at
 * run time.
 */
const linkOnlyTypes = new Set([
  "MODEL",
  "CLIP",
  "VAE",
  "CONDITIONING",
  "LATENT",
  "IMAGE",
  "MASK",
  "VIDEO",
  "CONTROL_NET",
  "UPSCALE_MODEL",
  "CLIP_VISION",
  "CLIP_VISION_OUTPUT",
  "NOISE",
  "GUIDER",
  "SAMPLER",
  "SIGMAS",
]);

/**
 * Checks one literal against its description, by the server's own rules and a few more (GRAPHS 3 and 4; PROTOCOL-0.28,
 * section 2): the server converts values of the four plain types, compares values of every type with `min` and `max`,
 * and searches the list of choices.
 * @param about `isOwnClass`: the class is one of ComfyUI's own, whose largest bounds are known to the last digit
 */
export function checkValue(
  value: unknown,
  spec: InputSpec,
  about: { isRequired: boolean; isOwnClass: boolean },
): ValueVerdict {
  const verdict = judge(value, spec, about.isRequired);
  if (!about.isOwnClass && isByOptions(verdict) && isAtRoundedMin(value, spec[1])) {
    return { notChecked: "a bound of its accepted range has more digits than Genga keeps" };
  }
  const unknown = unknownOptionsOf(spec);
  if (!isByOptions(verdict) || unknown.length === 0) return verdict;
  return { notChecked: `the input has options that Genga does not know (${unknown.slice(0, 3).join(", ")})` };
}

/** Whether the only reason for the refusal is the list or the range that the definitions show. */
export function isByOptions({ error }: ValueVerdict): boolean {
  return error !== undefined && typesCheckedByOptions.has(error.code);
}

const typesCheckedByOptions: ReadonlySet<string> = new Set([
  "value_not_in_list",
  "value_smaller_than_min",
  "value_bigger_than_max",
]);

function judge(value: unknown, spec: InputSpec, isRequired: boolean): ValueVerdict {
  const [type, options = {}] = spec;
  const list = listOf(spec);
  if (list !== undefined || type === "COMBO") return checkList(value, list, options);
  switch (type) {
    case "INT":
      return checkInt(value, options);
    case "FLOAT":
      return checkFloat(value, options);
    case "STRING":
      return typeof value === "string"
        ? {}
        : converted(value, "STRING", `taken as the text ${show(toPythonText(value))}`);
    case "BOOLEAN":
      return typeof value === "boolean"
        ? {}
        : converted(value, "BOOLEAN", `taken as ${isTruthyInPython(value) ? "true" : "false"}`);
    default: {
      const linkOnly = checkLinkOnly(value, typeof type === "string" ? type : "", isRequired);
      return linkOnly.error === undefined ? checkUnconverted(value, String(type), options) : linkOnly;
    }
  }
}

function checkList(
  value: unknown,
  list: readonly unknown[] | undefined,
  options: Record<string, unknown>,
): ValueVerdict {
  // Newer servers do not check the list of a combo that the editor fills from another source.
  if (options["remote_combo"] !== undefined) return {};
  if (list === undefined && options["options"] !== undefined) {
    return { notChecked: "its list of choices has a shape that Genga does not know" };
  }
  const choices = list ?? [];
  const values: unknown[] = options["multiselect"] === true && Array.isArray(value) ? value : [value];
  const unlisted = values.find((one) => !choices.some((choice) => isEqualInPython(choice, one)));
  if (unlisted === undefined) return {};
  return {
    error: {
      code: "value_not_in_list",
      text: `${show(unlisted)} is not in the list; ${acceptedChoices(unlisted, choices)}`,
      received: value,
      accepted: choices,
    },
  };
}

/**
 * Completes the sentence "… is not in the list;" with the first choices, and with the choice that was probably meant.
 */
export function acceptedChoices(given: unknown, choices: readonly unknown[]): string {
  const similar = choices.find((choice) => isSimilar(choice, given));
  const hint = similar === undefined ? "" : ` Did you mean ${show(similar)}?`;
  const more = choices.length > 10 ? ` and ${choices.length - 10} more` : "";
  const list =
    choices.length === 0
      ? "and there is nothing to choose from on the server"
      : `one of ${choices.slice(0, 10).map(show).join(", ")}${more}`;
  return `accepted: ${list}.${hint}`;
}

function isSimilar(candidate: unknown, given: unknown): boolean {
  if (typeof candidate !== "string" || typeof given !== "string" || given === "") return false;
  // The comparison is costly: a list may have thousands of names, and a request's body may hold one text of megabytes.
  if (given.length > candidate.length) return false;
  const [one, other] = [candidate.toLowerCase(), given.toLowerCase()];
  return (
    one === other || one.startsWith(`${other}.`) || one.endsWith(`/${other}`) || one.endsWith(`\\${other}`)
  );
}

function checkInt(value: unknown, options: Record<string, unknown>): ValueVerdict {
  const number = toPythonInt(value);
  if (number === undefined) return noNumber(value, "INT", "whole number");
  const outside = checkRange(value, number, options);
  if (outside !== undefined) return { error: outside };
  // The server converts a text of digits, a truth value, or a number with a fraction. It takes 1.0 as 1 without a
  // conversion.
  if (typeof value === "string" || typeof value === "boolean" || !isEqualInPython(number, value))
    return converted(value, "INT", `taken as ${number}`);
  return typeof value === "number" ? checkStep(value, rangeOf(options)) : {};
}

function checkFloat(value: unknown, options: Record<string, unknown>): ValueVerdict {
  const number = toPythonFloat(value);
  if (number === undefined) return noNumber(value, "FLOAT", "number");
  if (!Number.isFinite(number)) {
    const text = `${show(value)} is not finite; a server accepts it, and then no client can read that server's answers.`;
    return { error: { code: "invalid_input_type", text, received: value, accepted: "FLOAT" } };
  }
  const outside = checkRange(value, number, options);
  if (outside !== undefined) return { error: outside };
  return typeof value === "string" || typeof value === "boolean"
    ? converted(value, "FLOAT", `taken as ${number}`)
    : {};
}

function noNumber(value: unknown, type: "INT" | "FLOAT", kind: string): ValueVerdict {
  const text = `${show(value)} is no ${kind}.`;
  return { error: { code: "invalid_input_type", text, received: value, accepted: type } };
}

/**
 * The server does not convert values of other types, but compares them with `min` and `max`. It refuses values that
 * Python cannot compare.
 */
function checkUnconverted(value: unknown, type: string, options: Record<string, unknown>): ValueVerdict {
  const { min, max } = rangeOf(options);
  if (min === undefined && max === undefined) return {};
  const number = toComparable(value);
  if (number === undefined) {
    const text = `${show(value)} is no number, and the server compares it with the accepted range.`;
    return { error: { code: "invalid_input_type", text, received: value, accepted: type } };
  }
  const outside = checkRange(value, number, options);
  return outside === undefined ? {} : { error: outside };
}

/** The server accepts values between the steps, and the node then rounds them (width 100 gave 96). */
function checkStep(value: number, { min = 0, step }: Range): ValueVerdict {
  const [from, width] = [Number(min), Number(step ?? 0)];
  if (!(width > 1) || value % width === 0 || (value - from) % width === 0) return {};
  return {
    warning: {
      code: "value_converted",
      text: `${value} is not a multiple of ${width}; the node may round it down.`,
      received: value,
      accepted: { min: from, step: width },
    },
  };
}

function checkLinkOnly(value: unknown, type: string, isRequired: boolean): ValueVerdict {
  if (!isRequired && (value === null || value === "")) return {};
  // Written as `{"__value__": [node id, slot]}`, it is a link by the time the graph runs.
  if (linkOf(value) !== undefined) return {};
  if (!namesOf(type).every((one) => linkOnlyTypes.has(one))) return {};
  const text = `${show(value)} is no ${type}; it must be a link [node id, slot] to a node that makes one.`;
  return { error: { code: "invalid_input_type", text, received: value, accepted: type } };
}

function converted(value: unknown, accepted: string, what: string): ValueVerdict {
  return {
    warning: { code: "value_converted", text: `${show(value)} is ${what}.`, received: value, accepted },
  };
}
