import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  objectInfoSchema,
  parseExactJson,
  parsePythonJson,
  type ObjectInfo,
  type Workflow,
} from "@genga/comfyui";
import { z } from "zod";
import { placeOf, type JudgedGraph } from "./compare-verdicts.ts";

const placeSchema = z.looseObject({ node: z.string(), input: z.string() });
export const verdictSchema = z.looseObject({
  accepted: z.boolean(),
  errors: z
    .array(
      z.looseObject({
        node: z.string(),
        input: z.string().nullable(),
        type: z.string(),
        details: z.string().optional(),
      }),
    )
    .catch([]),
  ignored: z.array(placeSchema).optional(),
  passedUnlisted: z.array(placeSchema).optional(),
  cannotRun: z.array(z.looseObject({ node: z.string(), text: z.string() })).optional(),
});
const entriesSchema = z.array(
  z.looseObject({
    name: z.string(),
    kind: z.string().nullish(),
    mutation: z.string().nullish(),
    server: verdictSchema,
  }),
);
const mutantSchema = z.object({
  base: z.string(),
  changes: z.array(
    z.object({
      path: z.array(z.string()).min(1),
      value: z.unknown().optional(),
      delete: z.boolean().optional(),
    }),
  ),
});

/** Kinds of changes that spoil a graph in a part that the server drops without an error. */
const unseenMutations =
  /^(grown-(nested|list|flat|wrong-name|over|literal)|combo-nested|drop-selector|unknown-selector|unknown-link)$/;

/** A folder of graphs, a real server's verdict on each, and its definitions. */
export interface VerdictFolder {
  objectInfo: ObjectInfo;
  graphs: JudgedGraph[];
}

/**
 * Reads `verdicts.json`, `graphs/NAME.json` (a graph, or `{base, changes}` of one) and the one `object_info*.json`, with
 * every number as it was written.
 */
export function readVerdictFolder(folder: string): VerdictFolder {
  const definitions = readdirSync(folder).find((name) => /^object_info.*\.json$/.test(name));
  if (definitions === undefined) throw new Error(`${folder} has no object_info.json`);
  const objectInfo = objectInfoSchema.parse(parsePythonJson(readFileSync(join(folder, definitions), "utf8")));
  const entries = entriesSchema.parse(parseExactJson(readFileSync(join(folder, "verdicts.json"), "utf8")));
  const graphs = entries.map(({ name, mutation, server }): JudgedGraph => {
    const { graph, changed } = readGraph(folder, name);
    return {
      ...{ name, graph, server, isOfReplacedClass: mutation === "replaced-class" },
      ...(unseenMutations.test(mutation ?? "") ? { spoilt: changed } : {}),
    };
  });
  return { objectInfo, graphs };
}

function readGraph(folder: string, name: string): { graph: Workflow; changed: Set<string> } {
  const file = parseExactJson(readFileSync(join(folder, "graphs", `${name}.json`), "utf8"));
  const mutant = mutantSchema.safeParse(file).data;
  if (mutant === undefined) return { graph: file as Workflow, changed: new Set() };
  const { graph } = readGraph(folder, mutant.base);
  for (const { path, value, delete: isDeleted } of mutant.changes) change(graph, path, value, isDeleted);
  return {
    graph,
    changed: new Set(mutant.changes.map(({ path: [node, , input] }) => placeOf(node, input))),
  };
}

function change(graph: Workflow, path: readonly string[], value: unknown, isDeleted = false): void {
  const last = path[path.length - 1] ?? "";
  let parent: object = graph;
  for (const key of path.slice(0, -1)) {
    const child: unknown = Reflect.get(parent, key);
    if (typeof child !== "object" || child === null)
      throw new Error(`There is no ${path.join(".")} to change.`);
    parent = child;
  }
  if (isDeleted) Reflect.deleteProperty(parent, last);
  else Reflect.set(parent, last, value);
}
