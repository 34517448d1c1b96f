/**
 * What caused the failure. The retry rule depends on it: the section "Errors decide their own retry" of
 * ARCHITECTURE.md.
 */
export type ErrorClass = "invalid" | "execution" | "out_of_memory" | "server" | "deadline";

/**
 * What a caller may do after the error: `never` the same request will fail the same way; `if_asked` only where the job
 * allows several attempts; `elsewhere` once more, preferably on another server; `later` again with backoff, on any
 * server; `look_first` the request may have taken effect: look the prompt up before anything else.
 */
export type Retry = "never" | "if_asked" | "elsewhere" | "later" | "look_first";

const codes = {
  /** Refused, reset or unresolved before the request was sent: it had no effect. */
  server_unreachable: { errorClass: "server", retry: "later" },
  /** No answer in time. Reading is safe to repeat. */
  request_timeout: { errorClass: "server", retry: "later" },
  /** The connection broke in mid-request. */
  connection_lost: { errorClass: "server", retry: "later" },
  /** An HTTP 5xx. */
  server_failed: { errorClass: "server", retry: "later" },
  /** An answer that does not follow the protocol: a proxy's page, broken JSON, another shape, too many bytes. */
  bad_reply: { errorClass: "server", retry: "later" },
  /**
   * A proxy or a firewall in front of the server wants credentials that Genga does not have, or redirects to somewhere
   * else. Only the operator can solve this.
   */
  access_denied: { errorClass: "server", retry: "later" },
  /** An HTTP 4xx: the server understood the request and refused it. */
  request_refused: { errorClass: "invalid", retry: "never" },
  /** The server refused the graph, wholly (400) or in part (200 with node errors). */
  prompt_refused: { errorClass: "invalid", retry: "never" },
  /** A graph that would harm the server; it was not sent. */
  graph_malformed: { errorClass: "invalid", retry: "never" },
  /** `POST /prompt` went out and its outcome is not known. Never send it again. */
  submit_outcome_unknown: { errorClass: "server", retry: "look_first" },
  /** Neither in the queue nor in the history: deleted, evicted, or forgotten by a restart. */
  prompt_lost: { errorClass: "server", retry: "later" },
  /** A node raised. */
  execution_failed: { errorClass: "execution", retry: "if_asked" },
  /** A node ran out of memory. */
  out_of_memory: { errorClass: "out_of_memory", retry: "elsewhere" },
  /** A node met a GPU or a disk of the server that is broken, so other prompts will fail there as well. */
  device_failed: { errorClass: "server", retry: "later" },
  /** The prompt was interrupted on the server, by Genga or by another client. */
  prompt_interrupted: { errorClass: "server", retry: "later" },
  /** The server names an output that it cannot serve. */
  output_missing: { errorClass: "execution", retry: "if_asked" },
  /** The prompt has ended, and the server cannot tell how: its history entry stays unreadable. */
  result_unreadable: { errorClass: "execution", retry: "if_asked" },
  /** The connector was closed while this was under way. */
  connector_closed: { errorClass: "server", retry: "later" },
} as const satisfies Record<string, { errorClass: ErrorClass; retry: Retry }>;

export type ComfyUIErrorCode = keyof typeof codes;

/** One error of one node, as the server words it (PROTOCOL 2). */
export interface NodeError {
  nodeId: string;
  classType: string | undefined;
  /** The server's error type, for example `value_not_in_list`. */
  type: string;
  message: string;
  details: string;
  input: string | undefined;
  received: unknown;
}

export interface ComfyUIErrorDetails {
  cause?: unknown;
  httpStatus?: number | undefined;
  nodeErrors?: readonly NodeError[];
  nodeId?: string | undefined;
  nodeType?: string | undefined;
  exceptionType?: string | undefined;
  exceptionMessage?: string | undefined;
}

/** Any failure between Genga and one ComfyUI server. */
export class ComfyUIError extends Error {
  override readonly name = "ComfyUIError";
  readonly code: ComfyUIErrorCode;
  readonly errorClass: ErrorClass;
  readonly retry: Retry;
  readonly httpStatus: number | undefined;
  /** Filled for `prompt_refused`. */
  readonly nodeErrors: readonly NodeError[];
  /** The node that failed, if a node failed. */
  readonly nodeId: string | undefined;
  readonly nodeType: string | undefined;
  /** The Python class of the exception, for execution errors. */
  readonly exceptionType: string | undefined;
  /** The exception's whole message, for execution errors; the middle of a very long one is left out. */
  readonly exceptionMessage: string | undefined;

  constructor(code: ComfyUIErrorCode, message: string, details: ComfyUIErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.errorClass = codes[code].errorClass;
    this.retry = codes[code].retry;
    this.httpStatus = details.httpStatus;
    this.nodeErrors = details.nodeErrors ?? [];
    this.nodeId = details.nodeId;
    this.nodeType = details.nodeType;
    this.exceptionType = details.exceptionType;
    this.exceptionMessage = details.exceptionMessage;
  }
}
