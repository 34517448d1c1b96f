import { type JobKind } from "./create-search.ts";
import { isScalar, type Field } from "./job-fields.ts";

/** What a sweep can vary. */
export interface Variable {
  readonly name: string;
  readonly label: string;
}

const inputsMax = 2_000;

/** What a sweep of such jobs can vary. */
export function variablesOf(kind: JobKind, fields: readonly Field[], graph: string): Variable[] {
  if (kind === "workflow") return inputsOf(graph);
  const ofJob = fields.filter((field) => kind !== "template" || field.name.startsWith("values."));
  return ofJob
    .filter(
      ({ kind: type, name }) =>
        !["entries", "texts", "file"].includes(type) && !/^(hiresFix|components|webhook)\./.test(name),
    )
    .map(({ name, label }) => ({ name: name.replace(/^values\./, ""), label }));
}

/** The inputs of a graph's nodes that are values, as sweeps name them: `3.cfg`. */
function inputsOf(graph: string): Variable[] {
  let nodes: unknown;
  try {
    nodes = JSON.parse(graph);
  } catch {
    return [];
  }
  if (typeof nodes !== "object" || nodes === null) return [];
  const names = Object.entries(nodes as Record<string, { inputs?: unknown } | null>).flatMap(([id, node]) =>
    Object.entries((node?.inputs ?? {}) as Record<string, unknown>).flatMap(([input, value]) =>
      isScalar(value) ? [`${id}.${input}`] : [],
    ),
  );
  return names.slice(0, inputsMax).map((name) => ({ name, label: name }));
}
