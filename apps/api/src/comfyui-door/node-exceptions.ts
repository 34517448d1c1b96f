import { isObject, linkOf, specOf } from "@genga/comfyui";
import { type JobProblem } from "@genga/jobs";
import { type RefusedGraph } from "./refused-graph.ts";
import { comparisonError, linkError } from "./python-words.ts";
import { isNode } from "./read-prompt.ts";
import { serverError, type ServerError } from "./server-refusal.ts";

const inner = "exception_during_inner_validation";
const outer = "exception_during_validation";

export function isException({ type }: ServerError): boolean {
  return type === inner || type === outer;
}

/**
 * Of problems that make a server's own check raise an exception: what it says of the node. The exception of a node that another one
 * takes results from is told with the link between them.
 */
export function exceptionOf(problem: JobProblem, refused: RefusedGraph): ServerError | undefined {
  const { nodeId = "" } = problem;
  const raised = raisedBy(problem, refused);
  if (raised === undefined) return undefined;
  const [exceptionType, message] = raised;
  const told = { exception_type: exceptionType, traceback: [] };
  const consumer = refused.outputNodes.includes(nodeId) ? undefined : consumerOf(nodeId, refused);
  if (consumer === undefined)
    return serverError(outer, "Exception when validating node", { details: message, extra_info: told });
  const info = { ...consumer, exception_message: message, ...told };
  return serverError(inner, "Exception when validating inner node", { details: message, extra_info: info });
}

function raisedBy(
  { code, nodeId = "", input = "" }: JobProblem,
  { graph, definitionOf }: RefusedGraph,
): [type: string, message: string] | undefined {
  const node = graph[nodeId];
  if (!isNode(node)) return isObject(node) && !("inputs" in node) ? ["KeyError", "'inputs'"] : undefined;
  const value = node.inputs[input];
  const definition = definitionOf(node.class_type);
  const spec = definition === undefined ? undefined : specOf(definition, input);
  // Values of unions are not converted before they are compared.
  if (code === "invalid-input-type" && String(spec?.[0]).includes(","))
    return comparisonError(value, spec?.[1]);
  const link = linkError(value);
  if (code === "linked-node-missing") return link.node;
  return code === "linked-slot-missing" ? link.slot : undefined;
}

/** The first input that takes a result of this node. */
function consumerOf(
  nodeId: string,
  { graph, definitionOf }: RefusedGraph,
): { input_name: string; input_config: unknown; linked_node: unknown } | undefined {
  for (const node of Object.values(graph)) {
    if (!isNode(node)) continue;
    for (const [input, value] of Object.entries(node.inputs)) {
      if (linkOf(value)?.nodeId !== nodeId) continue;
      const definition = definitionOf(node.class_type);
      const spec = definition === undefined ? undefined : specOf(definition, input);
      const config = spec === undefined ? null : [spec[0], spec[1] ?? {}];
      return { input_name: input, input_config: config, linked_node: value };
    }
  }
  return undefined;
}
