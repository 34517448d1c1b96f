import { isObject, stringifyExactJson } from "@genga/comfyui";
import { type Json } from "@genga/jobs";
import { checkValue } from "./parameter-values.ts";
import { type TemplateDefinition } from "./template-definition.ts";

/**
 * The values with which the template makes the graph that these changes make of a graph of it.
 * @param values those of the graph before
 * @param changes node id → inputs with new values; `null` takes an input away
 * @returns `null` if no values do: an input is changed that is no parameter's, or in one of its parameter's places only, or
 *   to what the parameter does not take
 */
export function valuesAfterChanges(
  { parameters }: TemplateDefinition,
  values: Record<string, Json>,
  changes: Record<string, unknown>,
): Record<string, Json> | null {
  const open = new Map<string, unknown>();
  for (const [node, inputs] of Object.entries(changes))
    for (const [input, value] of Object.entries(isObject(inputs) ? inputs : {}))
      open.set(placeOf(node, input), value);
  const changed: [string, Json][] = [];
  for (const [name, parameter] of Object.entries(parameters)) {
    const places = parameter.targets.map(({ node, input }) => placeOf(node, input));
    const [value, ...others] = places.filter((place) => open.has(place)).map((place) => open.get(place));
    if (value === undefined) continue;
    if (others.length + 1 < places.length || others.some((other) => !isSame(other, value))) return null;
    const checked = checkValue(parameter, value, name, noUploads);
    if ("problem" in checked || !isSame(checked.value, value)) return null;
    changed.push([name, checked.kept]);
    for (const place of places) open.delete(place);
  }
  return open.size > 0 ? null : { ...values, ...Object.fromEntries(changed) };
}

/** Graphs name images by their content, and not by the ids of uploads. */
const noUploads = new Map();

const placeOf = (node: string, input: string): string => JSON.stringify([node, input]);

function isSame(one: unknown, other: unknown): boolean {
  return stringifyExactJson(one) === stringifyExactJson(other);
}
