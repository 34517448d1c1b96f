import { numberOf, stringifyExactJson } from "@genga/comfyui";

const shownMax = 1_000;

/** A value as Python's `repr()` writes it, for the kinds that graphs have. */
export function reprOf(value: unknown): string {
  return repr(value).slice(0, shownMax);
}

/** A value as Python's `str()` writes it. */
export function textOf(value: unknown): string {
  return typeof value === "string" ? value.slice(0, shownMax) : reprOf(value);
}

function repr(value: unknown): string {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "string") return quoted(value.slice(0, shownMax));
  if (numberOf(value) !== undefined) return stringifyExactJson(value);
  if (Array.isArray(value)) return `[${value.map(repr).join(", ")}]`;
  return `{${Object.entries(value)
    .map(([key, item]) => `${quoted(key)}: ${repr(item)}`)
    .join(", ")}}`;
}

/** Python prefers single quotes, unless only those are in the text. */
function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inside = JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"');
  return quote + (quote === "'" ? inside.replaceAll("'", "\\'") : inside) + quote;
}

function typeNameOf(value: unknown): string {
  if (value === null || value === undefined) return "NoneType";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "string") return "str";
  const number = numberOf(value);
  if (number !== undefined) return Number.isInteger(number) && !/[.e]/i.test(reprOf(value)) ? "int" : "float";
  return Array.isArray(value) ? "list" : "dict";
}

/** What Python says of a value that `int()` or `float()` does not take. */
export function conversionError(value: unknown, type: string): string | undefined {
  if (type === "INT")
    return typeof value === "string"
      ? `invalid literal for int() with base 10: ${reprOf(value)}`
      : `int() argument must be a string, a bytes-like object or a real number, not '${typeNameOf(value)}'`;
  if (type !== "FLOAT") return undefined;
  return typeof value === "string"
    ? `could not convert string to float: ${reprOf(value)}`
    : `float() argument must be a string or a real number, not '${typeNameOf(value)}'`;
}

/** What Python says of a value that is compared with the bounds of a number. */
export function comparisonError(
  value: unknown,
  { min, max }: { min?: unknown; max?: unknown } = {},
): [type: string, message: string] | undefined {
  const [sign, bound] = min === undefined ? [">", max] : ["<", min];
  if (bound === undefined) return undefined;
  const message = `'${sign}' not supported between instances of '${typeNameOf(value)}' and '${typeNameOf(bound)}'`;
  return ["TypeError", message];
}

/** What Python says of a link to a node, or to a slot of it, that is not there. */
export function linkError(link: unknown): { node: [type: string, message: string]; slot: [string, string] } {
  const [nodeId, slot] = Array.isArray(link) ? (link as unknown[]) : [];
  const isHashable = typeof nodeId !== "object" || nodeId === null || numberOf(nodeId) !== undefined;
  return {
    node: isHashable
      ? ["KeyError", reprOf(nodeId)]
      : ["TypeError", `unhashable type: '${typeNameOf(nodeId)}'`],
    slot:
      typeNameOf(slot) === "int" || typeof slot === "boolean"
        ? ["IndexError", "tuple index out of range"]
        : ["TypeError", `tuple indices must be integers or slices, not ${typeNameOf(slot)}`],
  };
}
