import { UsageError } from "../terminal/exit-codes.ts";
import { arrayText, type JsonText, valueText } from "./json-text.ts";

/** `name=value` of the command line, by name. @throws UsageError */
export function assignmentsOf(
  option: string,
  given: readonly string[] | undefined,
): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const each of given ?? []) {
    const at = each.indexOf("=");
    if (at < 1) throw new UsageError(`${option} ${each}: write it as name=value.`);
    const name = each.slice(0, at);
    if (found.has(name)) throw new UsageError(`${option} names ${name} twice.`);
    found.set(name, each.slice(at + 1));
  }
  return found;
}

/** Each value as JSON. */
export function valuesOf(given: ReadonlyMap<string, string>): Record<string, JsonText> {
  return Object.fromEntries([...given].map(([name, value]) => [name, valueText(value)]));
}

/** The values that a parameter takes in turn: `20,30,40`, or a list in JSON where values have commas. */
export function listText(value: string): JsonText {
  if (value.trimStart().startsWith("[")) {
    const text = valueText(value);
    if (Array.isArray(JSON.parse(text))) return text;
  }
  return arrayText(value.split(",").map((each) => valueText(each.trim())));
}
