import { stringifyExactJson } from "../json/exact-json.ts";
import { nodeTitleOf, type WorkflowNode } from "./workflow.ts";

/**
 * The kind of a problem, named in the style of the server's own error types (PROTOCOL 2). Where the server has a name
 * for it, that name is used; `missing_node_type` and `dependency_cycle` are names of newer servers.
 */
export type GraphProblemCode =
  // Shape: refused before any server is asked, since some of these bodies kill one (PROTOCOL 10).
  | "invalid_prompt"
  | "editor_format"
  | "graph_too_large"
  | "number_not_finite"
  | "node_not_object"
  | "missing_class_type"
  | "missing_inputs"
  | "bad_linked_input"
  | "linked_node_missing"
  | "dependency_cycle"
  | "prompt_no_outputs"
  // Ends a list of problems that was cut off.
  | "more_problems"
  // Against a server's object info.
  | "missing_node_type"
  | "required_input_missing"
  | "value_smaller_than_min"
  | "value_bigger_than_max"
  | "value_not_in_list"
  | "invalid_input_type"
  | "return_type_mismatch"
  | "linked_slot_missing"
  | "custom_validation_failed"
  // The server accepts the graph, and the run must fail.
  | "context_options_missing"
  | "odd_frame_size"
  | "node_fails_at_run_time"
  // Only warnings: the server accepts the value, but the author probably meant something else.
  | "value_converted"
  | "unknown_input"
  | "undeclared_link"
  | "choice_missing"
  | "file_not_checked"
  | "unneeded_node"
  | "output_not_fetchable";

/** One thing wrong with a graph, worded for the person who wrote it. */
export interface GraphProblem {
  code: GraphProblemCode;
  nodeId?: string;
  nodeTitle?: string;
  classType?: string;
  input?: string;
  /** One sentence that names the node, the input, the given value and the accepted values. */
  message: string;
  received?: unknown;
  /** The accepted values: a list (at most 50 values of it), `{min?, max?, step?}`, or the name of a type. */
  accepted?: unknown;
}

/**
 * A node or an input that Genga left to the server, because the server's definitions describe it in a way that Genga
 * does not know.
 */
export interface NotChecked {
  nodeId: string;
  classType: string;
  /** Absent if the whole node was not checked. */
  input?: string;
  /** One sentence that names the unchecked part and the reason. */
  message: string;
}

/** If `errors` is empty, the graph may be submitted. */
export interface GraphValidation {
  errors: GraphProblem[];
  warnings: GraphProblem[];
  /** Absent where everything was checked. */
  notChecked?: NotChecked[];
}

/** A problem of an input, without the place of the input. */
export type InputProblem = Pick<GraphProblem, "code" | "received" | "accepted"> & {
  /** Completes "Node 5 (KSampler), steps: …". */
  text: string;
};

const listedMax = 50;
/**
 * A message shows at most this many characters of a name. Names in a graph may be megabytes long, and each problem's
 * message repeats the name of its node.
 */
const nameShownMax = 200;
/** At most this many errors and this many warnings. A body of 16 MB could otherwise cause a million of them. */
const problemsMax = 1_000;

export function nodeProblem(
  nodeId: string,
  node: WorkflowNode,
  code: GraphProblemCode,
  text: string,
): GraphProblem {
  return { code, ...placeOf(nodeId, node), message: `${describeNode(nodeId, node)}: ${text}` };
}

export function inputProblem(
  nodeId: string,
  node: WorkflowNode,
  input: string,
  problem: InputProblem,
): GraphProblem {
  const { text, code, received, accepted } = problem;
  return {
    code,
    ...placeOf(nodeId, node),
    input,
    message: `${describeNode(nodeId, node)}, ${shortName(input)}: ${text}`,
    ...(received !== undefined && { received }),
    ...(accepted !== undefined && {
      accepted: Array.isArray(accepted) ? accepted.slice(0, listedMax) : accepted,
    }),
  };
}

function placeOf(
  nodeId: string,
  node: WorkflowNode,
): Pick<GraphProblem, "nodeId" | "nodeTitle" | "classType"> {
  return { nodeId, nodeTitle: nodeTitleOf(node), classType: node.class_type };
}

/** How a message names a node: `Node 5 "Title" (KSampler)`. */
export function describeNode(nodeId: string, node: WorkflowNode): string {
  const title = nodeTitleOf(node);
  const [id, shown, classType] = [nodeId, title, node.class_type].map(shortName);
  return title === node.class_type ? `Node ${id} (${shown})` : `Node ${id} "${shown}" (${classType})`;
}

/** A name of the graph as a message shows it. */
export function shortName(name: string): string {
  return name.length > nameShownMax ? `${name.slice(0, nameShownMax - 3)}...` : name;
}

/** Whether a list of problems is full, so that no more problems need to be found. */
export function isFull(problems: readonly GraphProblem[]): boolean {
  return problems.length >= problemsMax;
}

/** The first problems; if there may be more, the last entry says so. */
export function firstOf(problems: GraphProblem[]): GraphProblem[] {
  if (!isFull(problems)) return problems;
  const message = `This graph may have more problems; these are the first ${problemsMax}.`;
  return [...problems.slice(0, problemsMax), { code: "more_problems", message }];
}

/** A value as it may be shown in a message. */
export function show(value: unknown): string {
  const text = value === undefined ? "nothing" : stringifyExactJson(value);
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}
