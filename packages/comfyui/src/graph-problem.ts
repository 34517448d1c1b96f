/**
 * What is wrong, in the style of the server's own error types (PROTOCOL 2). The server's names are used where it has
 * one; `missing_node_type` and `dependency_cycle` are those of newer servers.
 */
export type GraphProblemCode =
  // Shape: refused before any server is asked, since some of these bodies kill one (PROTOCOL 10).
  | "invalid_prompt"
  | "graph_too_large"
  | "node_not_object"
  | "missing_class_type"
  | "missing_inputs"
  | "bad_linked_input"
  | "linked_node_missing"
  | "dependency_cycle"
  | "prompt_no_outputs"
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
  // Accepted by the server, and bound to fail there.
  | "context_options_missing"
  | "odd_frame_size"
  | "node_fails_at_run_time"
  // Warnings: accepted, but hardly meant.
  | "value_converted"
  | "unknown_input"
  | "unneeded_node";

/** One thing wrong with a graph, worded for the person who wrote it. */
export interface GraphProblem {
  code: GraphProblemCode;
  nodeId?: string;
  nodeTitle?: string;
  classType?: string;
  input?: string;
  message: string;
  received?: unknown;
  /** What would be accepted: a list of values (at most 50), a range, or a type, by code. */
  accepted?: unknown;
}

/** `errors` empty = submit it. */
export interface GraphValidation {
  errors: GraphProblem[];
  warnings: GraphProblem[];
}
