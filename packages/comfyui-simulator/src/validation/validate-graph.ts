import { type PythonJson } from "../python/python-json.ts";
import {
  isDict,
  isTruthy,
  PythonError,
  pythonText,
  pythonTypeName,
  type PythonValue,
} from "../python/python-values.ts";
import { type NodeCatalog, type NodeClass } from "../nodes/node-catalog.ts";
import { NodeInputValidator } from "./validate-inputs.ts";
import { type ValidationError } from "./validation-error.ts";
import { newerRules, olderRules } from "./validation-rules.ts";

/** The result of the validation for `POST /prompt`: the outputs that may run, and the problems of the others. */
export interface GraphVerdict {
  /** Absent when at least one output may run. */
  readonly error?: PythonJson;
  readonly outputs: readonly string[];
  readonly nodeErrors: ReadonlyMap<string, PythonJson>;
}

/**
 * The server's own validation of a graph (PROTOCOL 2). Values of inputs are coerced in place, as the server does.
 * @param targets the requested output nodes; null for all
 * @throws PythonError where the server's validation itself raises, which it answers with 500
 */
export function validateGraph(
  graph: PythonValue,
  catalog: NodeCatalog,
  targets: PythonValue,
  server: { readonly fileExists: (annotatedName: string) => boolean; readonly isNewer: boolean },
): GraphVerdict {
  const found = outputNodes(graph, catalog, targets, server.isNewer);
  if ("error" in found) return { error: found.error, outputs: [], nodeErrors: new Map() };
  const rules = server.isNewer ? newerRules : olderRules;
  const validator = new NodeInputValidator(found.nodes, catalog, rules, server.fileExists);
  const nodeErrors = new Map<string, { errors: ValidationError[]; dependents: string[] }>();
  const good: string[] = [];
  const details: string[] = [];
  for (const output of found.outputs) {
    const result = validator.validateOutput(output);
    if (result.valid) {
      good.push(output);
      continue;
    }
    details.push(...result.errors.map((error) => `${error.message}: ${error.details}`));
    for (const [nodeId, outcome] of validator.outcomes()) {
      if (outcome.valid || outcome.errors.length === 0) continue;
      const known = nodeErrors.get(nodeId);
      if (known) known.dependents.push(output);
      else nodeErrors.set(nodeId, { errors: outcome.errors, dependents: [output] });
    }
  }
  const reported = new Map<string, PythonJson>(
    [...nodeErrors].map(([nodeId, { errors, dependents }]) => [
      nodeId,
      {
        errors: errors.map((error) => ({ ...error })),
        dependent_outputs: dependents,
        class_type: pythonText(found.nodes.get(nodeId)?.get("class_type") ?? null),
      },
    ]),
  );
  if (good.length > 0) return { outputs: good, nodeErrors: reported };
  const error = problem(
    "prompt_outputs_failed_validation",
    "Prompt outputs failed validation",
    details.join("\n"),
  );
  return { error, outputs: [], nodeErrors: reported };
}

type Nodes = ReadonlyMap<string, Map<string, PythonValue>>;

/** Checks the classes of all nodes, in the order in which they were sent, and picks the output nodes. */
function outputNodes(
  graph: PythonValue,
  catalog: NodeCatalog,
  targets: PythonValue,
  isNewer: boolean,
): { nodes: Nodes; outputs: string[] } | { error: PythonJson } {
  const noOutputs = { error: problem("prompt_no_outputs", "Prompt has no outputs", "") };
  if (!isDict(graph)) {
    // A server of 0.28 searches for replaced classes before this point, and raises for a graph that is not a dict.
    if (!isNewer && (Array.isArray(graph) || typeof graph === "string")) {
      if (graph.length === 0) return noOutputs;
      throw new PythonError("TypeError", "indices must be integers or slices");
    }
    throw new PythonError("TypeError", `'${pythonTypeName(graph)}' object is not iterable`);
  }
  const nodes = new Map<string, Map<string, PythonValue>>();
  const outputs: string[] = [];
  for (const [nodeId, node] of graph) {
    const checked = nodeClassOf(nodeId, node, catalog, isNewer);
    if ("error" in checked) return checked;
    nodes.set(nodeId, checked.node);
    if (checked.nodeClass.isOutput && isTarget(nodeId, targets)) outputs.push(nodeId);
  }
  return outputs.length === 0 ? noOutputs : { nodes, outputs };
}

function nodeClassOf(
  nodeId: string,
  node: PythonValue,
  catalog: NodeCatalog,
  isNewer: boolean,
): { node: Map<string, PythonValue>; nodeClass: NodeClass } | { error: PythonJson } {
  const words = isNewer ? newerWords : olderWords;
  if (!isDict(node)) {
    const holdsNothing = Array.isArray(node)
      ? !node.includes("class_type")
      : typeof node === "string" && !node.includes("class_type");
    if (holdsNothing && !isNewer) return { error: olderWords.noClass(nodeId) };
    throw new PythonError("TypeError", `argument of type '${pythonTypeName(node)}' is not iterable`);
  }
  const classType = node.get("class_type");
  if (classType === undefined) return { error: words.noClass(nodeId, node) };
  if (Array.isArray(classType) || isDict(classType)) {
    throw new PythonError("TypeError", `unhashable type: '${pythonTypeName(classType)}'`);
  }
  const nodeClass = typeof classType === "string" ? catalog.get(classType) : undefined;
  return nodeClass ? { node, nodeClass } : { error: words.unknownClass(nodeId, node, classType) };
}

type Node = Map<string, PythonValue>;

const olderWords = {
  noClass: (nodeId: string): PythonJson =>
    problem(
      "invalid_prompt",
      "Cannot execute because a node is missing the class_type property.",
      `Node ID '#${nodeId}'`,
    ),
  unknownClass: (nodeId: string, _node: Node, classType: PythonValue): PythonJson =>
    problem(
      "invalid_prompt",
      `Cannot execute because node ${pythonText(classType)} does not exist.`,
      `Node ID '#${nodeId}'`,
    ),
};

/** A server of 0.28 names the node by its title as well (PROTOCOL-0.28, 1). */
const newerWords = {
  noClass: (nodeId: string, node: Node): PythonJson => {
    const title = titleOf(node) ?? null;
    const name = isTruthy(title) ? pythonText(title) : `ID #${nodeId}`;
    const reason = "has no class_type. The workflow may be corrupted or a custom node is missing.";
    return missingNodeType(nodeId, null, title, `Node '${name}' ${reason}`);
  },
  unknownClass: (nodeId: string, node: Node, classType: PythonValue): PythonJson => {
    const title = titleOf(node) ?? classType;
    const message = `Node '${pythonText(title)}' not found. The custom node may not be installed.`;
    return missingNodeType(nodeId, classType, title, message);
  },
};

function missingNodeType(
  nodeId: string,
  classType: PythonValue,
  title: PythonValue,
  message: string,
): PythonJson {
  return {
    type: "missing_node_type",
    message,
    details: `Node ID '#${nodeId}'`,
    extra_info: { node_id: nodeId, class_type: classType, node_title: title },
  };
}

function titleOf(node: Node): PythonValue | undefined {
  const meta = node.get("_meta");
  if (meta === undefined) return undefined;
  if (isDict(meta)) return meta.get("title");
  throw new PythonError("AttributeError", `'${pythonTypeName(meta)}' object has no attribute 'get'`);
}

/** `x in partial_execution_targets`, for any value that was given as the list. */
function isTarget(nodeId: string, targets: PythonValue): boolean {
  if (targets === null) return true;
  if (Array.isArray(targets)) return targets.includes(nodeId);
  if (typeof targets === "string") return targets.includes(nodeId);
  if (isDict(targets)) return targets.has(nodeId);
  throw new PythonError("TypeError", `argument of type '${pythonTypeName(targets)}' is not iterable`);
}

function problem(type: string, message: string, details: string): PythonJson {
  return { type, message, details, extra_info: {} };
}
