import { type NodeClass } from "../nodes/node-catalog.ts";
import { NodeException } from "../nodes/node-run.ts";
import { opaque, plain, type NodeValue } from "../nodes/node-values.ts";
import { isDict, pythonTypeName, type PythonValue } from "../python/python-values.ts";
import { finalInputs } from "../validation/dynamic-inputs.ts";
import { inputsOf, linkOf, type Link } from "./execution-order.ts";
import { type RunningGraph } from "./running-graph.ts";

/** The inputs of a node's calls: a list for each input, with one value unless a list was linked to it. */
export interface NodeInputs {
  readonly lists: ReadonlyMap<string, readonly NodeValue[]>;
  /** Inputs whose link has no value (yet): lazy ones, before they are requested. */
  readonly missing: ReadonlySet<string>;
}

/** Classes that take undeclared inputs, unchecked. */
const takesAnything = new Set(["VHS_VideoCombine", "CustomCombo", "ProtoV3All"]);

/** The functions of classes written against the older node interface, as Python's messages name them. */
const functions: Readonly<Record<string, string>> = {
  ImageScale: "upscale",
  KSampler: "sample",
  KSamplerAdvanced: "sample",
  PreviewAny: "main",
  PreviewImage: "save_images",
  SaveImage: "save_images",
  VAEDecode: "decode",
  VAEEncode: "encode",
};

/** Hidden inputs that come from `extra_data`, where their keys are the same in lower case (PROTOCOL 2). */
const besideKinds = new Set(["EXTRA_PNGINFO", "AUTH_TOKEN_COMFY_ORG", "API_KEY_COMFY_ORG"]);

/** Collects the inputs of a node. @param resultsOf returns the results of the linked node; undefined if it has none */
export function collectInputs(
  graph: RunningGraph,
  nodeId: string,
  nodeClass: NodeClass,
  extraData: PythonValue,
  resultsOf: (link: Link) => readonly NodeValue[] | undefined,
): NodeInputs {
  const lists = new Map<string, readonly NodeValue[]>();
  const missing = new Set<string>();
  const given = inputsOf(graph.node(nodeId));
  const declared = new Map(finalInputs(nodeClass, given).inputs.map((input) => [input.name, input]));
  for (const [name, value] of given) {
    const known = graph.valueOf(nodeId, name);
    const link = declared.get(name)?.options.get("rawLink") === true ? undefined : linkOf(value);
    if (known) lists.set(name, [known]);
    else if (link) {
      const results = resultsOf(link);
      if (results === undefined) missing.add(name);
      lists.set(name, results ?? [plain(null)]);
    } else if (declared.has(name) || takesAnything.has(nodeClass.name)) lists.set(name, [plain(value)]);
  }
  // Classes of the newer interface receive hidden values through their class, and not as inputs.
  const hidden = nodeClass.isNewStyle ? [] : nodeClass.hidden;
  for (const [name, kind] of hidden) {
    if (kind === "PROMPT") lists.set(name, [opaque("prompt", "PROMPT")]);
    else if (kind === "UNIQUE_ID") lists.set(name, [plain(nodeId)]);
    else if (besideKinds.has(kind)) lists.set(name, [plain(besideGraph(extraData, kind.toLowerCase()))]);
  }
  return { lists, missing };
}

/**
 * Throws the error that Python raises for a call that does not fit the function: links under names that the class does
 * not have are passed on, and a dynamic group whose choice is missing or unknown is not (PROTOCOL-0.28, 2). @throws
 * NodeException
 */
export function checkArguments(
  graph: RunningGraph,
  nodeId: string,
  nodeClass: NodeClass,
  { lists }: NodeInputs,
): void {
  if (takesAnything.has(nodeClass.name)) return;
  const { inputs, paths, emptyGroups } = finalInputs(nodeClass, inputsOf(graph.node(nodeId)));
  const known = [...inputs, ...nodeClass.inputs].map(({ name }) => name);
  const declared = new Set([...known, ...nodeClass.hidden.keys()]);
  const stranger = [...lists.keys()].find((name) => !declared.has(name));
  const call = `${nodeClass.name}.${functions[nodeClass.name] ?? "execute"}()`;
  if (stranger !== undefined) {
    throw new NodeException("TypeError", `${call} got an unexpected keyword argument '${stranger}'`);
  }
  const present = new Set([...lists.keys(), ...paths.values(), ...emptyGroups]);
  const isThere = (group: string): boolean =>
    [...present].some((name) => name === group || name.startsWith(`${group}.`));
  const lacking = nodeClass.inputs.filter(
    ({ name, category, type }) =>
      category === "required" && type === "COMFY_DYNAMICCOMBO_V3" && !isThere(name),
  );
  if (lacking.length === 0) return;
  const names = lacking.map(({ name }) => `'${name}'`).join(" and ");
  const noun = lacking.length === 1 ? "argument" : "arguments";
  throw new NodeException(
    "TypeError",
    `${call} missing ${lacking.length} required positional ${noun}: ${names}`,
  );
}

function besideGraph(extraData: PythonValue, key: string): PythonValue {
  if (isDict(extraData)) return extraData.get(key) ?? null;
  throw new NodeException("AttributeError", `'${pythonTypeName(extraData)}' object has no attribute 'get'`);
}
