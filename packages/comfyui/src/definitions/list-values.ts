import { definitionOf } from "../checking/check-link.ts";
import { liveInputsOf } from "../classes/dynamic-inputs.ts";
import { specOf, type InputSpec, type ObjectInfo } from "../classes/object-info.ts";
import { linkOf, type Workflow, type WorkflowNode } from "../graph/workflow.ts";

/** Types of ComfyUI's own inputs whose written values are lists (`comfy_api/latest/_io.py` of 0.28.0). */
const listTypes: ReadonlySet<unknown> = new Set(["ARRAY", "BOUNDING_BOXES", "COLORS", "CURVE", "FLOATS"]);

/**
 * A copy of the graph whose list values travel as `{"__value__": […]}`, on inputs that take a list. The server takes
 * every bare list for a link, and unwraps the others in place: so the graphs that the server shows in `/history` and
 * writes into pictures cannot be submitted again unchanged (PROTOCOL-0.28, section 2, recording 43d).
 * @returns the graph itself where there is nothing to wrap, and the places that were wrapped
 */
export function wrapLists(
  workflow: Workflow,
  objectInfo: ObjectInfo,
): { workflow: Workflow; wrapped: { nodeId: string; input: string }[] } {
  const wrapped: { nodeId: string; input: string }[] = [];
  const nodes = Object.entries(workflow).map(([nodeId, node]): [string, WorkflowNode] => {
    const inputs = listInputsOf(node, objectInfo);
    if (inputs.length === 0) return [nodeId, node];
    wrapped.push(...inputs.map((input) => ({ nodeId, input })));
    const changes = inputs.map((input): [string, unknown] => [input, { __value__: node.inputs[input] }]);
    return [nodeId, { ...node, inputs: { ...node.inputs, ...Object.fromEntries(changes) } }];
  });
  return { workflow: wrapped.length === 0 ? workflow : Object.fromEntries(nodes), wrapped };
}

function listInputsOf(node: WorkflowNode, objectInfo: ObjectInfo): string[] {
  const lists = Object.entries(node.inputs).filter(
    ([, value]) => Array.isArray(value) && linkOf(value) === undefined,
  );
  const definition = lists.length === 0 ? undefined : definitionOf(node, objectInfo);
  if (definition === undefined) return [];
  const live = liveInputsOf(definition, node.inputs);
  return lists.flatMap(([input]) => (takesList(specOf({ input: live }, input)) ? input : []));
}

function takesList(spec: InputSpec | undefined): boolean {
  return spec !== undefined && (spec[1]?.["multiselect"] === true || listTypes.has(spec[0]));
}
