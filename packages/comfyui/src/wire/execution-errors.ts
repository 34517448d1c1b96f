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
 * What the runtimes of CUDA and ROCm say of a GPU, a driver or a context that runs no further work (the texts of
 * `cudaGetErrorString` and `hipGetErrorString`), and cuBLAS of a handle that it cannot create. Errors of single calls,
 * such as `invalid argument`, are not among them, nor what one node
 * says on a server that is well: an extension that was built for other GPUs (`no kernel image is available`), or a node
 * that wants CUDA where there is none.
 */
const brokenGpu = [
  "unspecified launch failure",
  "device-side assert triggered",
  "an illegal memory access was encountered",
  "an illegal instruction was encountered",
  "misaligned address",
  "invalid program counter",
  "hardware stack error",
  "the launch timed out and was terminated",
  "uncorrectable ECC error encountered",
  "uncorrectable NVLink error detected during the execution",
  "initialization error",
  "driver shutting down",
  "context is destroyed",
  "invalid device context",
  "no (CUDA|ROCm)-capable device is detected",
  "(all )?CUDA-capable device(s|\\(s\\) is/are| are)* busy or unavailable",
  "(CUDA )?driver version is insufficient for (CUDA )?runtime version",
  "unknown error",
  "CUBLAS_STATUS_NOT_INITIALIZED",
].join("|");

/**
 * Beginnings of lines that report a broken GPU. PyTorch writes `CUDA error: ` before the runtime's text
 * (`c10/cuda/CUDAException.cpp`; its build for ROCm says HIP instead), `CUDA driver error: ` and `cuDNN error: `
 * (`ATen/cuda/Exceptions.h`); Triton writes `Triton Error [CUDA]: `. The others are of PyTorch's search for a GPU
 * (`c10/cuda/CUDAFunctions.cpp`). A node may quote such a text in the middle of a line of its own.
 */
const brokenGpuLines = [
  new RegExp(`^((CUDA|HIP)( driver)? error|Triton Error \\[(CUDA|HIP)\\]): (${brokenGpu})`, "im"),
  /^cuDNN error: CUDNN_STATUS_NOT_INITIALIZED/im,
  /^CUDA driver initialization failed/im,
  /^CUDA unknown error/im,
  /^Unexpected error from (cuda|hip)GetDeviceCount\(\)/im,
];

/**
 * How Python words the `OSError` of a disk that takes no more files: EIO, ENOSPC, and Windows' ERROR_DISK_FULL. (EROFS is
 * also what a node gets that writes into its own folder in a container.) PyAV, which writes videos, words its own alike.
 */
const brokenDiskType = /(^|\.)OSError$/;
const brokenDiskMessage = /^\[(Errno (5|28)|WinError 112)\] /;

/**
 * Distinguishes a node that ran out of memory (free memory and try another server) and a GPU or a disk of the server
 * that is broken (`device`: the next prompts will fail there as well) from a node that raised another error.
 */
export function classifyExecutionError(
  error: Pick<ExecutionErrorData, "exception_type" | "exception_message">,
): "out_of_memory" | "device" | "execution" {
  if (outOfMemoryTypes.test(error.exception_type)) return "out_of_memory";
  const text = error.exception_message.toLowerCase();
  if (outOfMemoryTexts.some((phrase) => text.includes(phrase))) return "out_of_memory";
  return saysDeviceIsBroken(error) ? "device" : "execution";
}

function saysDeviceIsBroken({
  exception_type: type,
  exception_message: message,
}: Pick<ExecutionErrorData, "exception_type" | "exception_message">): boolean {
  if (brokenDiskType.test(type)) return brokenDiskMessage.test(message);
  return brokenGpuLines.some((line) => line.test(message));
}

const codes = {
  out_of_memory: "out_of_memory",
  device: "device_failed",
  execution: "execution_failed",
} as const;

/** Limits for one exception's message, in characters: the reason in an error's own message, and the kept whole. */
const reasonMax = 1_000;
const exceptionHeadMax = 6_000;
const exceptionTailMax = 2_000;

/**
 * The error of a failed prompt, worded for a person: node, exception, and the line of its message that gives the
 * reason.
 */
export function executionErrorOf(error: ExecutionErrorData): ComfyUIError {
  const code = codes[classifyExecutionError(error)];
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
