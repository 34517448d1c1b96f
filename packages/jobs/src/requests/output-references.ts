import { type JobType } from "../job/job.ts";

/** The member by which a node's input of a raw graph names an output, in place of a file's name. */
export const outputMember = "$output";

/** Parameters that may name an output in place of an upload. */
const fileParameters = ["initImage", "mask"] as const;

/** Where a submission names the output of another job. */
export interface OutputReference {
  /** The parameter, or the place in the graph. */
  path: string;
  /** The key of a job of the same submission, or the id of a job. */
  from: string;
}

/** The outputs that parameters name, whether or not these are otherwise valid. */
export function outputReferencesIn(type: JobType, parameters: unknown): OutputReference[] {
  return placesOf(type, parameters).flatMap(({ path, named: { from } }) =>
    typeof from === "string" ? [{ path: `${path}.from`, from }] : [],
  );
}

/** The parameters with the ids of the jobs in place of their keys. The given parameters stay as they are. */
export function withJobIds(
  type: JobType,
  parameters: unknown,
  idOf: (name: string) => string | undefined,
): unknown {
  const places = placesOf(type, parameters);
  if (places.length === 0) return parameters;
  const replaced = new Map(
    places.map(({ named }) => {
      const { from } = named;
      const id = typeof from === "string" ? idOf(from) : undefined;
      return [named, id === undefined ? named : { ...named, from: id }];
    }),
  );
  const replace = (value: unknown, depth: number): unknown => {
    const known = replaced.get(value as Named);
    if (known !== undefined) return known;
    if (depth === 0 || !isPlainObject(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, replace(item, depth - 1)]));
  };
  return replace(parameters, type === "workflow" ? 5 : 1);
}

type Named = Record<string, unknown>;
interface Place {
  path: string;
  named: Named;
}

function placesOf(type: JobType, parameters: unknown): Place[] {
  if (!isPlainObject(parameters)) return [];
  if (type === "workflow") return placesInGraph(parameters["workflow"]);
  return fileParameters.flatMap((member) => {
    const named = Object.hasOwn(parameters, member) ? parameters[member] : undefined;
    return isPlainObject(named) ? [{ path: member, named }] : [];
  });
}

/** Inputs of nodes only: no value lies deeper. */
function placesInGraph(workflow: unknown): Place[] {
  if (!isPlainObject(workflow)) return [];
  const places: Place[] = [];
  for (const [nodeId, node] of Object.entries(workflow)) {
    const inputs = isPlainObject(node) ? node["inputs"] : undefined;
    if (!isPlainObject(inputs)) continue;
    for (const [input, holder] of Object.entries(inputs)) {
      if (!isPlainObject(holder) || !Object.hasOwn(holder, outputMember)) continue;
      const named = holder[outputMember];
      const path = `workflow.${nodeId}.inputs.${input}`.slice(0, 300);
      if (isPlainObject(named)) places.push({ path, named });
    }
  }
  return places;
}

function isPlainObject(value: unknown): value is Named {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  // A number that JavaScript cannot represent is an object with `toJSON` here.
  return !("toJSON" in value && typeof value.toJSON === "function");
}
