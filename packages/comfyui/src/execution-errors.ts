import { ComfyUIError } from "./errors.ts";
import type { ExecutionErrorData } from "./messages.ts";

/** Exception classes that say "out of memory" whatever their message is. */
const OUT_OF_MEMORY_TYPES = /(^|\.)(OutOfMemoryError|MemoryError|OutOfMemory)$/i;

/**
 * Texts by which PyTorch, CUDA, ROCm, Metal and the CPU allocator say the same inside a plain `RuntimeError`
 * (a failed CPU allocation was recorded as one).
 */
const OUT_OF_MEMORY_TEXTS = [
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
  if (OUT_OF_MEMORY_TYPES.test(error.exception_type)) return "out_of_memory";
  const text = error.exception_message.toLowerCase();
  return OUT_OF_MEMORY_TEXTS.some((phrase) => text.includes(phrase)) ? "out_of_memory" : "execution";
}

/** The error of a failed prompt, worded for a person: node, exception, and the first line of its message. */
export function executionErrorOf(error: ExecutionErrorData): ComfyUIError {
  const code = classifyExecutionError(error) === "out_of_memory" ? "out_of_memory" : "execution_failed";
  const [reason = ""] = error.exception_message.trim().split("\n");
  const what = reason === "" ? error.exception_type : `${error.exception_type}: ${reason}`;
  return new ComfyUIError(code, `Node ${error.node_id} (${error.node_type}) failed: ${what}`, {
    nodeId: error.node_id,
    nodeType: error.node_type,
    exceptionType: error.exception_type,
  });
}
