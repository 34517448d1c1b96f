import { ComfyUIError } from "./errors.ts";
import { type ExecutionErrorData } from "./messages.ts";

/** Exception classes that say "out of memory" whatever their message is. */
const outOfMemoryTypes = /(^|\.)(OutOfMemoryError|MemoryError|OutOfMemory)$/i;

/**
 * Texts by which PyTorch, CUDA, ROCm, Metal and the CPU allocator report missing memory inside a plain `RuntimeError`
 * (a failed CPU allocation was recorded as one).
 */
const outOfMemoryTexts = [
  "out of memory",
  "can't allocate memory",
  "cannot allocate memory",
  "not enough memory",
  "cudnn_status_alloc_failed",
  "cublas_status_alloc_failed",
  "would exceed allowed memory",
  "unable to allocate",
  "insufficient memory",
];

/**
 * Distinguishes a node that ran out of memory (free memory and try another server) from a node that raised another
 * error.
 */
export function classifyExecutionError(
  error: Pick<ExecutionErrorData, "exception_type" | "exception_message">,
): "out_of_memory" | "execution" {
  if (outOfMemoryTypes.test(error.exception_type)) return "out_of_memory";
  const text = error.exception_message.toLowerCase();
  return outOfMemoryTexts.some((phrase) => text.includes(phrase)) ? "out_of_memory" : "execution";
}

/** Limits for one exception's message, in characters: the reason in an error's own message, and the kept whole. */
const reasonMax = 1_000;
const exceptionHeadMax = 6_000;
const exceptionTailMax = 2_000;

/**
 * The error of a failed prompt, worded for a person: node, exception, and the line of its message that gives the
 * reason.
 */
export function executionErrorOf(error: ExecutionErrorData): ComfyUIError {
  const code = classifyExecutionError(error) === "out_of_memory" ? "out_of_memory" : "execution_failed";
  const reason = reasonOf(error.exception_message);
  const what = reason === "" ? error.exception_type : `${error.exception_type}: ${reason}`;
  return new ComfyUIError(code, `Node ${error.node_id} (${error.node_type}) failed: ${what}`, {
    nodeId: error.node_id,
    nodeType: error.node_type,
    exceptionType: error.exception_type,
    exceptionMessage: boundedMessage(error.exception_message),
  });
}

/**
 * The exception type that newer servers send when a node received an `ExecutionBlocker` with a message (PROTOCOL-0.28
 * 3).
 */
const blockedType = "ExecutionBlocked";
const blockedPrefix = /^Execution Blocked: /;

/**
 * The warning for an `execution_error` that did not end its prompt. A server of 0.28 sends one for each blocked node,
 * continues, and reports success. The history does not contain it.
 */
export function warningOf(error: ExecutionErrorData): string {
  const reason = reasonOf(error.exception_message.replace(blockedPrefix, ""));
  const node = `Node ${error.node_id} (${error.node_type})`;
  return error.exception_type === blockedType
    ? `${node} was blocked, and what it makes is missing: ${reason}`
    : `${node} failed, and the server went on without it: ${error.exception_type}: ${reason}`;
}

/**
 * Returns the first line of the message, and the lines that a colon at its end announces: PyTorch's "Error(s) in
 * loading state_dict for RRDBNet:" needs the next line to say anything.
 */
function reasonOf(message: string): string {
  const lines = linesOf(message);
  const last = lines.findIndex((line) => !line.endsWith(":"));
  const reason = lines.slice(0, last < 0 ? undefined : last + 1).join(" ");
  return reason.length <= reasonMax ? reason : `${reason.slice(0, reasonMax - 1)}…`;
}

function linesOf(message: string): string[] {
  return message
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/** The whole message, or the beginning and the end of a very long one. */
function boundedMessage(message: string): string {
  const whole = message.trim();
  if (whole.length <= exceptionHeadMax + exceptionTailMax) return whole;
  const left = whole.length - exceptionHeadMax - exceptionTailMax;
  return `${whole.slice(0, exceptionHeadMax)}\n… (${left} characters are left out)\n${whole.slice(-exceptionTailMax)}`;
}
