import { InvalidJobError, outputMember, type JobProblem } from "@genga/jobs";
import { type AssetFile } from "../submissions/asset-files.ts";

/** Finds what ids of assets stand for, among what the sender may use. */
export type FindFiles = (ids: readonly string[]) => Promise<ReadonlyMap<string, AssetFile>>;

const typeMember = "__type";
const assetType = "core/ASSET";
/** Values of a graph do not lie deeper. */
const depthMax = 64;
const problemsMax = 100;
/** Different assets in one graph: as many ids go into one statement. */
const assetsMax = 1_000;

/** How a graph names an asset. */
export function assetReference(id: string): object {
  return { [typeMember]: assetType, info: { id } };
}

/**
 * Replaces the references to assets in a graph (`{"__type": "core/ASSET", "info": {"id": …}}`) by what our own graphs have in
 * their places. The id alone counts; hash and path are hints.
 * @throws InvalidJobError `too-many-assets` before anything is looked up; `missing-asset` for each reference that is malformed or names nothing that the sender may use
 */
export async function resolveAssets(workflow: unknown, findFiles: FindFiles): Promise<unknown> {
  const places = placesIn(workflow);
  if (places.length === 0) return workflow;
  const ids = new Set(places.flatMap(({ id }) => id ?? []));
  if (ids.size > assetsMax) {
    const message = `workflow: a graph may name ${assetsMax} different assets; this one names ${ids.size}.`;
    throw new InvalidJobError([{ path: "workflow", code: "too-many-assets", message }]);
  }
  const files = await findFiles([...ids]);
  const problems: JobProblem[] = [];
  const replaced = new Map<object, unknown>();
  for (const place of places) {
    const file = place.id === undefined ? undefined : files.get(place.id);
    const problem = problemOf(place, file);
    if (problem !== undefined) problems.push(problem);
    else if (file?.kind === "upload") replaced.set(place.reference, file.name);
    else if (file?.kind === "output") {
      const { from, output } = file;
      replaced.set(place.reference, { [outputMember]: { from, output } });
    }
  }
  if (problems.length > 0) throw new InvalidJobError(problems.slice(0, problemsMax));
  return withReplaced(workflow, replaced, depthMax);
}

interface Place {
  path: readonly string[];
  reference: object;
  /** Absent = the reference is malformed. */
  id?: string;
}

function placesIn(workflow: unknown): Place[] {
  const places: Place[] = [];
  const visit = (value: unknown, path: readonly string[]): void => {
    if (typeof value !== "object" || value === null || path.length > depthMax) return;
    if (isReference(value)) {
      const id = idOf(value);
      places.push({ path, reference: value, ...(id !== undefined && { id }) });
      return;
    }
    for (const [name, item] of Object.entries(value)) visit(item, [...path, name]);
  };
  visit(workflow, []);
  return places;
}

function isReference(value: object): boolean {
  return Object.hasOwn(value, typeMember) && Reflect.get(value, typeMember) === assetType;
}

function idOf(reference: object): string | undefined {
  const info: unknown = Object.hasOwn(reference, "info") ? Reflect.get(reference, "info") : undefined;
  if (typeof info !== "object" || info === null || !Object.hasOwn(info, "id")) return undefined;
  const id: unknown = Reflect.get(info, "id");
  return typeof id === "string" ? id.toLowerCase() : undefined;
}

function problemOf({ path, id }: Place, file: AssetFile | undefined): JobProblem | undefined {
  const at = ["workflow", ...path].join(".").slice(0, 300);
  const [nodeId, inputs, input] = path;
  const isInput = inputs === "inputs" && input !== undefined;
  const problem = (message: string): JobProblem => ({
    ...{ path: at, code: "missing-asset", message: `${at}: ${message}` },
    ...(nodeId !== undefined && { nodeId }),
    ...(isInput && { input }),
  });
  if (id === undefined) return problem("a core/ASSET needs an info with the id of the asset.");
  if (file === undefined) return problem("there is no asset with this id that can be used.");
  // An output is put in place when its job has completed, and only where an input has it as its value.
  if (file.kind === "output" && (!isInput || path.length !== 3))
    return problem("an output of a job can only be the value of a node's input.");
  return undefined;
}

function withReplaced(value: unknown, replaced: ReadonlyMap<object, unknown>, depth: number): unknown {
  if (typeof value !== "object" || value === null || depth < 0) return value;
  if (replaced.has(value)) return replaced.get(value);
  if (Array.isArray(value)) return value.map((item) => withReplaced(item, replaced, depth - 1));
  // A number that JavaScript cannot represent is an object here, which stays what it is.
  if ("toJSON" in value && typeof value.toJSON === "function") return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, withReplaced(item, replaced, depth - 1)]),
  );
}
