import { type ObjectInfo } from "../classes/object-info.ts";
import { linkOf, type Workflow } from "../graph/workflow.ts";

/** Characters that stay in a file name everywhere; the rest become `_`. */
const unsafeInName = /[^\p{L}\p{N} ._%()+=@-]/gu;
const nameLengthMax = 80;
/** File systems allow 255 bytes for a name; the prefix and the counter with its ending need the rest. */
const nameBytesMax = 180;

/** The name for files whose own name is known only at run time, or is left to the node. */
const nameOtherwise = "output";

export interface PreparationOptions {
  /** Put before every name; may contain folders: `folder/of/the/attempt/unique-`. */
  prefix: string;
  /** Shows which classes accept a prefix where the graph gives none, and which have hidden inputs. */
  objectInfo: ObjectInfo;
  /** Jobs with the same text may be given each other's results of nodes with hidden inputs (`separateResults`). */
  resultsOf: string;
}

/** No class declares an input of this name, so servers pass it to no node; in the key of a cached result it counts. */
export const cacheInput = "genga_results_of";

/** Whether an input is a file name prefix, also as a member of a group (`format.filename_prefix`). */
export function isFilenamePrefix(input: string): boolean {
  return input === "filename_prefix" || input.endsWith(".filename_prefix");
}

/** The copy of a graph that is sent to a server: with prefixes of the attempt's own, and with results of its own. */
export function prepareForSubmission(workflow: Workflow, options: PreparationOptions): Workflow {
  return separateResults(replacePrefixes(workflow, options), options);
}

/**
 * A copy of the graph in which nodes with hidden inputs share their results with jobs of the same `resultsOf` only.
 *
 * A server keeps the results of nodes, and gives them to every prompt with an equal node whose ancestors are equal (0.28:
 * `CacheKeySetInputSignature` of comfy_execution/caching.py). The values of hidden inputs are no part of that key: a
 * picture that a partner node made with one tenant's API key, a text that quotes the key, or a preview in which another
 * tenant's whole graph and `extra_pnginfo` are written would be served to whoever repeats the node. Every input of the
 * graph is a part of the key, also one that the class does not declare. A prefix of the attempt's own does the same. What
 * such a node's result is linked into is separated with it; all other results, such as loaded models, depend on nothing
 * but their own part of the graph, and stay shared.
 */
function separateResults(workflow: Workflow, { objectInfo, resultsOf }: PreparationOptions): Workflow {
  return Object.fromEntries(
    Object.entries(workflow).map(([id, node]) =>
      mayHaveHiddenInputs(node.class_type, objectInfo) && !Object.keys(node.inputs).some(isFilenamePrefix)
        ? [id, { ...node, inputs: { ...node.inputs, [cacheInput]: resultsOf } }]
        : [id, node],
    ),
  );
}

/** Hidden inputs other than the node's id, which is a part of the key. A class that cannot be read may have some. */
function mayHaveHiddenInputs(classType: string, objectInfo: ObjectInfo): boolean {
  const definition = Object.hasOwn(objectInfo, classType) ? objectInfo[classType] : undefined;
  if (definition?.areInputsKnown !== true) return true;
  return Object.values(definition.input.hidden).some((kind) => String(kind) !== "UNIQUE_ID");
}

/**
 * A copy of the graph whose every `filename_prefix` is unique to one attempt: the given prefix and the original name.
 * Without it an identical graph would run nothing and report the files of an earlier job (PROTOCOL 0.8), two attempts
 * would share a counter, and files would lie where other tenants' graphs can name them. Only the last part of the
 * original path is kept, so that no graph can write outside the folder; `%date%` and `%width%` in it still work. A
 * prefix that comes over a link is replaced, too, since its value is only known at run time.
 */
function replacePrefixes(workflow: Workflow, options: PreparationOptions): Workflow {
  return Object.fromEntries(
    Object.entries(workflow).map(([id, node]) => {
      const names = Object.keys(node.inputs).filter(isFilenamePrefix);
      if (names.length === 0 && takesPrefix(node.class_type, options.objectInfo))
        names.push("filename_prefix");
      if (names.length === 0) return [id, node];
      const prefixes = names.map((name) => [name, options.prefix + nameOf(node.inputs[name])] as const);
      return [id, { ...node, inputs: { ...node.inputs, ...Object.fromEntries(prefixes) } }];
    }),
  );
}

function takesPrefix(classType: string, objectInfo: ObjectInfo): boolean {
  const input = Object.hasOwn(objectInfo, classType) ? objectInfo[classType]?.input : undefined;
  return input?.optional !== undefined && Object.hasOwn(input.optional, "filename_prefix");
}

function nameOf(given: unknown): string {
  const value = unwrapped(given);
  if (typeof value === "number" || typeof value === "boolean") return safeName(String(value));
  return typeof value === "string" && linkOf(given) === undefined ? safeName(value) : nameOtherwise;
}

/** Servers read `{"__value__": x}` as x. */
function unwrapped(value: unknown): unknown {
  return typeof value === "object" && value !== null && "__value__" in value ? value.__value__ : value;
}

function safeName(prefix: string): string {
  const last = prefix.split(/[/\\]/).findLast((part) => part.trim() !== "") ?? "";
  const name = withinBytes(
    last
      .replace(unsafeInName, "_")
      .replace(/\.{2,}/g, "_")
      .replace(/^[. ]+/, "")
      .trim()
      .slice(0, nameLengthMax),
  );
  return name === "" ? nameOtherwise : name;
}

function withinBytes(name: string): string {
  const characters = Array.from(name);
  while (Buffer.byteLength(characters.join("")) > nameBytesMax) characters.pop();
  return characters.join("");
}
