/** A refusal of a prompt in the form of ComfyUI's server. */
export interface ServerError {
  type: string;
  message: string;
  details: string;
  extra_info: Record<string, unknown>;
}

export interface NodeErrors {
  errors: ServerError[];
  dependent_outputs: string[];
  class_type: string;
}

/** What a client is told in the words of a server. */
export interface ServerRefusal {
  error: ServerError;
  node_errors: Record<string, NodeErrors>;
}

export function serverError(
  type: string,
  message: string,
  more: { details?: string; extra_info?: Record<string, unknown> } = {},
): ServerError {
  return { type, message, details: more.details ?? "", extra_info: more.extra_info ?? {} };
}

/** Thrown to refuse a prompt with 400. */
export class PromptRefusedError extends Error {
  override readonly name = "PromptRefusedError";
  readonly refusal: ServerRefusal;

  constructor(error: ServerError, nodeErrors: ServerRefusal["node_errors"] = {}) {
    super(error.message);
    this.refusal = { error, node_errors: nodeErrors };
  }
}

export function refuse(...error: Parameters<typeof serverError>): PromptRefusedError {
  return new PromptRefusedError(serverError(...error));
}
