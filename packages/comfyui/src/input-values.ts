import { show, type InputProblem } from "./graph-problem.ts";
import { isObject } from "./graph-shape.ts";
import { listOf, type InputSpec } from "./object-info.ts";

/** What is wrong with a literal value; `error` stops the graph, `warning` says what the server makes of it. */
export interface ValueVerdict {
  error?: InputProblem;
  warning?: InputProblem;
}

/** Values that only another node can make. A literal passes the server's validation and fails at run time. */
const LINK_ONLY_TYPES = new Set([
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

/** Checks one literal against its description, by the server's own rules and a little beyond (GRAPHS 3 and 4). */
export function checkValue(value: unknown, spec: InputSpec, isRequired: boolean): ValueVerdict {
  const [type, options = {}] = spec;
  const list = listOf(spec);
  if (list !== undefined) return checkList(value, list, options);
  switch (type) {
    case "INT":
      return checkNumber(value, toPythonInt(value), "INT", options);
    case "FLOAT":
      return checkNumber(value, toPythonFloat(value), "FLOAT", options);
    case "STRING":
      return typeof value === "string"
        ? {}
        : converted(value, "STRING", `taken as the text ${show(toPythonText(value))}`);
    case "BOOLEAN":
      return typeof value === "boolean"
        ? {}
        : converted(value, "BOOLEAN", `taken as ${isTruthyInPython(value) ? "true" : "false"}`);
    default:
      return checkLinkOnly(value, typeof type === "string" ? type : "", isRequired);
  }
}

function checkList(value: unknown, list: readonly unknown[], options: Record<string, unknown>): ValueVerdict {
  // A list that the editor fetches from elsewhere is not known here.
  if (list.length === 0 && options["remote"] !== undefined) return {};
  const values: unknown[] = options["multiselect"] === true && Array.isArray(value) ? value : [value];
  const stranger = values.find((one) => !list.includes(one));
  if (stranger === undefined) return {};
  const similar = list.find((one) => isSimilar(one, stranger));
  const hint = similar === undefined ? "" : ` Did you mean ${show(similar)}?`;
  const choice =
    list.length === 0
      ? "and there is nothing to choose from on the server"
      : `one of ${list.slice(0, 10).map(show).join(", ")}${list.length > 10 ? ` and ${list.length - 10} more` : ""}`;
  return {
    error: {
      code: "value_not_in_list",
      text: `${show(stranger)} is not in the list; accepted: ${choice}.${hint}`,
      received: value,
      accepted: list,
    },
  };
}

function isSimilar(candidate: unknown, given: unknown): boolean {
  if (typeof candidate !== "string" || typeof given !== "string" || given === "") return false;
  const [one, other] = [candidate.toLowerCase(), given.toLowerCase()];
  return (
    one === other || one.startsWith(`${other}.`) || one.endsWith(`/${other}`) || one.endsWith(`\\${other}`)
  );
}

function checkNumber(
  value: unknown,
  number: number | undefined,
  type: "INT" | "FLOAT",
  { min, max, step }: Record<string, unknown>,
): ValueVerdict {
  const range = {
    ...(typeof min === "number" && { min }),
    ...(typeof max === "number" && { max }),
    ...(typeof step === "number" && { step }),
  };
  if (number === undefined) {
    const text = `${show(value)} is no ${type === "INT" ? "whole number" : "number"}.`;
    return { error: { code: "invalid_input_type", text, received: value, accepted: type } };
  }
  if (range.min !== undefined && number < range.min) {
    const text = `${show(value)} is smaller than the smallest accepted value, ${range.min}.`;
    return { error: { code: "value_smaller_than_min", text, received: value, accepted: range } };
  }
  if (range.max !== undefined && isAbove(number, range.max)) {
    const text = `${show(value)} is bigger than the biggest accepted value, ${range.max}.`;
    return { error: { code: "value_bigger_than_max", text, received: value, accepted: range } };
  }
  if (typeof value !== "number" || (type === "INT" && number !== value)) {
    return converted(value, type, `taken as ${number}`);
  }
  if (type !== "INT") return {};
  if (!Number.isSafeInteger(value)) {
    return converted(
      value,
      type,
      "beyond 2^53−1, where numbers in JSON from JavaScript lose their last digits",
    );
  }
  return checkStep(value, range);
}

/** 2^64−1 becomes 2^64 in JavaScript, and would be sent, and refused, as that. */
function isAbove(number: number, max: number): boolean {
  return number > max || (number === max && Number.isInteger(max) && !Number.isSafeInteger(max));
}

/** The server takes values between the steps, and the node then rounds them as it likes (width 100 gave 96). */
function checkStep(value: number, { min = 0, step }: { min?: number; step?: number }): ValueVerdict {
  if (step === undefined || step <= 1 || value % step === 0 || (value - min) % step === 0) return {};
  return {
    warning: {
      code: "value_converted",
      text: `${value} is not a multiple of ${step}; the node may round it down.`,
      received: value,
      accepted: { min, step },
    },
  };
}

function checkLinkOnly(value: unknown, type: string, isRequired: boolean): ValueVerdict {
  if (value === null && !isRequired) return {};
  if (!type.split(",").every((one) => LINK_ONLY_TYPES.has(one.trim()))) return {};
  const text = `${show(value)} is no ${type}; it must be a link [node id, slot] to a node that makes one.`;
  return { error: { code: "invalid_input_type", text, received: value, accepted: type } };
}

function converted(value: unknown, accepted: string, what: string): ValueVerdict {
  return {
    warning: { code: "value_converted", text: `${show(value)} is ${what}.`, received: value, accepted },
  };
}

const PYTHON_INT = /^\s*[+-]?\d+(_\d+)*\s*$/;
const PYTHON_FLOAT = /^\s*[+-]?(\d+(_\d+)*\.?(\d+(_\d+)*)?|\.\d+(_\d+)*)(e[+-]?\d+(_\d+)*)?\s*$/i;

/** `int(value)` in Python: numbers are cut off, texts of digits are read, truth values count as 1 and 0. */
function toPythonInt(value: unknown): number | undefined {
  if (typeof value === "number") return Math.trunc(value);
  if (typeof value === "boolean") return Number(value);
  if (typeof value === "string" && PYTHON_INT.test(value)) return Number(value.replaceAll("_", ""));
  return undefined;
}

/** `float(value)` in Python, except that its infinities and NaN are refused: no node means them. */
function toPythonFloat(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value === "boolean") return Number(value);
  if (typeof value === "string" && PYTHON_FLOAT.test(value)) return Number(value.replaceAll("_", ""));
  return undefined;
}

function toPythonText(value: unknown): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  return typeof value === "number" ? String(value) : show(value);
}

function isTruthyInPython(value: unknown): boolean {
  return isObject(value) ? Object.keys(value).length > 0 : Boolean(value);
}
