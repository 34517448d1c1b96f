import { ComfyUIError } from "./errors.ts";
import { type ExecutionErrorData } from "./messages.ts";

/** Exception classes that say "out of memory" whatever their message is. */
const outOfMemoryTypes = /(^|\.)(OutOfMemoryError|MemoryError|OutOfMemory)$/i;

/**
 * Texts by which PyTorch, CUDA, ROCm, Metal and the CPU allocator say the same inside a plain `RuntimeError`
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

/** Tells a node that ran out of memory (free it and try elsewhere) from a node that simply raised. */
export function classifyExecutionError(
  error: Pick<ExecutionErrorData, "exception_type" | "exception_message">,
): "out_of_memory" | "execution" {
  if (outOfMemoryTypes.test(error.exception_type)) return "out_of_memory";
  const text = error.exception_message.toLowerCase();
  return outOfMemoryTexts.some((phrase) => text.includes(phrase)) ? "out_of_memory" : "execution";
}

/** Of one exception's message: what an error says of it, and what is kept of the whole. In characters. */
const reasonMax = 1_000;
const exceptionHeadMax = 6_000;
const exceptionTailMax = 2_000;

/** The error of a failed prompt, worded for a person: node, exception, and the line of its message that tells. */
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

/** How newer servers name it when a node was given an `ExecutionBlocker` with a message (PROTOCOL-0.28 3). */
const blockedType = "ExecutionBlocked";
const blockedPrefix = /^Execution Blocked: /;

/**
 * What an `execution_error` means that did not end its prompt: a server of 0.28 sends one for each blocked node, goes on,
 * and reports success. The history knows nothing of it.
 */
export function warningOf(error: ExecutionErrorData): string {
  const reason = reasonOf(error.exception_message.replace(blockedPrefix, ""));
  const node = `Node ${error.node_id} (${error.node_type})`;
  return error.exception_type === blockedType
    ? `${node} was blocked, and what it makes is missing: ${reason}`
    : `${node} failed, and the server went on without it: ${error.exception_type}: ${reason}`;
}

/**
 * The first line, and those that it announces: PyTorch's "Error(s) in loading state_dict for RRDBNet:" says nothing
 * without the line that follows its colon.
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

/** The whole message; of one that is very long, its beginning and its end. */
function boundedMessage(message: string): string {
  const whole = message.trim();
  if (whole.length <= exceptionHeadMax + exceptionTailMax) return whole;
  const left = whole.length - exceptionHeadMax - exceptionTailMax;
  return `${whole.slice(0, exceptionHeadMax)}\n… (${left} characters are left out)\n${whole.slice(-exceptionTailMax)}`;
}
