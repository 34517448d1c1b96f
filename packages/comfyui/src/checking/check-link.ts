import { ExactNumber } from "../json/exact-json.ts";
import { show, type InputProblem } from "../graph/graph-problem.ts";
import { type InputSpec, type NodeDefinition, type ObjectInfo } from "../classes/object-info.ts";
import { ownLinkTypes } from "./self-checked-inputs.ts";
import { canConnect, isAny, isUnknownPlaceholder, nameOf } from "../classes/slot-types.ts";
import { linkOf, type Workflow, type WorkflowNode } from "../graph/workflow.ts";

/** The result of judging one input of a node. */
export interface Verdict {
  error?: InputProblem;
  warning?: InputProblem;
  /** The reason why only the server can judge this input. */
  notChecked?: string;
}

/** The definition of a node's class; `undefined` for a class that the server lacks. */
export function definitionOf(
  node: WorkflowNode | undefined,
  objectInfo: ObjectInfo,
): NodeDefinition | undefined {
  return node !== undefined && Object.hasOwn(objectInfo, node.class_type)
    ? objectInfo[node.class_type]
    : undefined;
}

/** Judges a list on an input that the class declares: the server treats every list there as a link (PROTOCOL 2). */
export function checkLink(
  value: unknown[],
  input: { name: string; spec: InputSpec; node: WorkflowNode },
  workflow: Workflow,
  objectInfo: ObjectInfo,
): Verdict {
  if (value.length !== 2) return { error: noLink(value) };
  const missing = missingNode(value, workflow);
  if (missing !== undefined) return { error: missing };
  const [nodeId, slot] = value;
  const target = workflow[String(nodeId)];
  const number = typeof slot === "boolean" ? Number(slot) : slot;
  if (target === undefined || slot instanceof ExactNumber || !Number.isInteger(number)) {
    const text = `the link ${show(value)} has no whole number for its slot.`;
    return { error: { code: "linked_slot_missing", text, received: value } };
  }
  const source = definitionOf(target, objectInfo);
  return source === undefined ? {} : checkSlot(value, Number(number), { target, source, input });
}

/** The problem of a list that stands where a link is expected and does not have exactly two elements. */
export function noLink(value: unknown[]): InputProblem {
  const text =
    `${show(value)} is no link; a link is a list of two, [node id, slot]. ` +
    'A list that is a value is written {"__value__": [ … ]}.';
  return { code: "bad_linked_input", text, received: value, accepted: "[node id, slot]" };
}

/** The problem of a link to a node that the graph does not have; `undefined` if the graph has the node. */
export function missingNode(value: unknown[], workflow: Workflow): InputProblem | undefined {
  const [nodeId] = value;
  if (typeof nodeId === "string" && Object.hasOwn(workflow, nodeId)) return undefined;
  const hint = typeof nodeId === "number" ? " (a node id is a text, not a number)" : "";
  const text = `the link ${show(value)} names a node that is not there${hint}.`;
  return { code: "linked_node_missing", text, received: value };
}

interface Ends {
  target: WorkflowNode;
  source: NodeDefinition;
  input: { name: string; spec: InputSpec; node: WorkflowNode };
}

function checkSlot(value: unknown[], slot: number, { target, source, input }: Ends): Verdict {
  const { output } = source;
  if (!source.areOutputsKnown) {
    return {
      notChecked: `the outputs of ${target.class_type} are described in a way that Genga does not know`,
    };
  }
  // The server indexes the outputs as a Python list: slot −1 is the last output.
  const index = slot < 0 ? output.length + slot : slot;
  if (index < 0 || index >= output.length) {
    if (mayHaveMoreSlots(source)) {
      return { notChecked: `${target.class_type} shows ${output.length} outputs, and may give more` };
    }
    const text = `the link ${show(value)} names slot ${slot}, but ${target.class_type} has ${output.length} (from 0).`;
    return { error: { code: "linked_slot_missing", text, received: value } };
  }
  const received = output[index];
  const expected = input.spec[0];
  if (received === undefined) {
    return {
      notChecked: `the type of output ${slot} of ${target.class_type} is described in a way that Genga does not know`,
    };
  }
  if (isUnknownPlaceholder(received) || isUnknownPlaceholder(expected)) {
    return {
      notChecked: `the type ${nameOf(isUnknownPlaceholder(received) ? received : expected)} is not known`,
    };
  }
  const own = ownLinkTypes(input.node.class_type, input.name);
  const fits =
    own === undefined ? canConnect(received, expected) : typeof received === "string" && own.has(received);
  if (!fits) {
    const accepted = own === undefined ? nameOf(expected) : [...own].join(",");
    const text = `the link ${show(value)} brings ${nameOf(received)}, but the input takes ${accepted}.`;
    return { error: { code: "return_type_mismatch", text, received: nameOf(received), accepted } };
  }
  if (slot >= 0) return {};
  const text = `slot ${slot} counts from the end; it is slot ${index}.`;
  return { warning: { code: "value_converted", text, received: value } };
}

/** Modules of ComfyUI itself. Their classes have exactly the outputs that `/object_info` shows. */
const ownModule = /^(nodes|comfy_extras|comfy_api_nodes)\b/;
/** The type of rgthree's context nodes, to which the editor adds outputs that `/object_info` does not show. */
const dynamicContext = "RGTHREE_DYNAMIC_CONTEXT";

/**
 * Some node packs set `RETURN_TYPES` to a tuple that answers every index with "any type". `/object_info` shows only the
 * first slots of such a class.
 */
function mayHaveMoreSlots({ output, pythonModule }: NodeDefinition): boolean {
  const isOpen = output.some((type) => type !== undefined && (isAny(type) || type === dynamicContext));
  return isOpen && !ownModule.test(pythonModule);
}

/** Whether the class is one of ComfyUI's own. */
export function isOwnClass({ pythonModule }: NodeDefinition): boolean {
  return ownModule.test(pythonModule);
}

/** Judges a link on an input that the class does not declare: the server hands it to the node (`get_input_data`). */
export function checkUndeclaredLink(
  value: unknown[],
  node: WorkflowNode,
  workflow: Workflow,
  hint: string,
): Verdict | undefined {
  const link = linkOf(value);
  if (link === undefined) return undefined;
  const missing = missingNode(value, workflow);
  if (missing !== undefined) {
    const text = `${missing.text.slice(0, -1)}; a server takes it, and then stops running anything at all.`;
    return { error: { ...missing, text } };
  }
  const text =
    `${node.class_type} declares no such input; the server hands the link to the node, which fails unless it takes ` +
    `inputs that it does not declare.${hint}`;
  return { warning: { code: "undeclared_link", text, received: value } };
}
