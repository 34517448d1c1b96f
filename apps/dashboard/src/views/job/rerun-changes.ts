import { drawnSeed } from "../../parts/drawn-seed.ts";

/** One value of a job that a person may change. */
export interface RerunField {
  /** `width`, or `3.seed` of a graph. */
  readonly id: string;
  /** The node that it belongs to, of a raw graph. */
  readonly node?: { readonly id: string; readonly title: string };
  readonly name: string;
  readonly value: unknown;
  readonly isSeed: boolean;
}

const seedNames = new Set(["seed", "noise_seed"]);

/** The fields of an image or video, in the order of its parameters. */
export function fieldsOfParameters(parameters: Readonly<Record<string, unknown>>): RerunField[] {
  return Object.entries(parameters).map(([name, value]) => ({
    ...{ id: name, name, value },
    isSeed: seedNames.has(name),
  }));
}

/** The inputs of a graph's nodes, except for links between nodes. */
export function fieldsOfGraph(workflow: Readonly<Record<string, unknown>>): RerunField[] {
  return Object.entries(workflow).flatMap(([id, node]) => {
    if (!isObject(node) || !isObject(node["inputs"])) return [];
    const meta = node["_meta"];
    const classType = typeof node["class_type"] === "string" ? node["class_type"] : "?";
    const title = isObject(meta) && typeof meta["title"] === "string" ? meta["title"] : classType;
    return Object.entries(node["inputs"])
      .filter(([, value]) => !isLink(value))
      .map(([name, value]) => ({
        ...{ id: `${id}.${name}`, node: { id, title }, name, value },
        isSeed: seedNames.has(name),
      }));
  });
}

/**
 * The `changes` of a rerun. A new seed of an image or video is drawn by the API; of a graph it is drawn here.
 * @param edited values by the ids of fields; `newSeed` = a new one
 */
export function changesOf(
  fields: readonly RerunField[],
  edited: ReadonlyMap<string, unknown>,
  drawSeed: (fieldId: string) => number,
): Record<string, unknown> {
  const changes = new Map<string, unknown>();
  for (const { id, node, name, value } of fields) {
    if (!edited.has(id)) continue;
    const given = edited.get(id);
    if (JSON.stringify(given) === JSON.stringify(value)) continue;
    const changed = given === newSeed ? (node === undefined ? null : drawSeed(id)) : given;
    if (node === undefined) changes.set(name, changed);
    else changes.set(node.id, { ...(changes.get(node.id) as object | undefined), [name]: changed });
  }
  return Object.fromEntries(changes);
}

export const newSeed = Symbol("a new seed");

/** Draws each seed once: the same form submitted again, after its answer was lost, is the same rerun. */
export function seedsOfForm(draw: () => number = drawnSeed): (fieldId: string) => number {
  const drawn = new Map<string, number>();
  return (fieldId) => {
    const seed = drawn.get(fieldId) ?? draw();
    drawn.set(fieldId, seed);
    return seed;
  };
}

/** Refusals by the ids of fields; those of no field are under the empty id. */
export function problemsByField(
  fields: readonly RerunField[],
  problems: readonly { path: string; message: string }[],
): Map<string, string[]> {
  const known = new Set(fields.map(({ id }) => id));
  const byField = new Map<string, string[]>();
  for (const { path, message } of problems) {
    const own = path.replace(/^(changes|workflow)\./, "").replace(/^([^.]+)\.inputs\./, "$1.");
    // Of `tags.3` the field is `tags`.
    const id = [own, own.split(".").slice(0, -1).join("."), own.split(".")[0] ?? ""].find((each) =>
      known.has(each),
    );
    byField.set(id ?? "", [
      ...(byField.get(id ?? "") ?? []),
      id === undefined ? `${path}: ${message}` : message,
    ]);
  }
  return byField;
}

export function textOfValue(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function isLink(value: unknown): boolean {
  return (
    Array.isArray(value) && value.length === 2 && typeof value[0] === "string" && typeof value[1] === "number"
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
