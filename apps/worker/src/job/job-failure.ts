import { ComfyUIError, type SettledLookup } from "@genga/comfyui";
import { type JobFailure, StorageError } from "@genga/jobs";
import { DependencyOutputError } from "../files/input-files.ts";
import { ExtraDataError } from "./extra-data.ts";

/** Innermost lines of a traceback that are kept: enough to find the node's fault, too few to hold its inputs. */
const tracebackLinesMax = 6;
const messageLengthMax = 2_000;

/** Anything that a run may throw, as the reason that a user reads. */
export function failureOf(error: unknown): JobFailure {
  if (error instanceof ComfyUIError) return failureOfComfyUI(error);
  if (error instanceof ExtraDataError) {
    const { code, message } = error;
    return { class: code === "extra-data-missing" ? "invalid" : "server", code, message };
  }
  if (error instanceof DependencyOutputError)
    return { class: "dependency", code: "dependency-output", message: error.message };
  if (error instanceof StorageError) {
    return { class: "execution", code: error.code, message: shortened(error.message) };
  }
  const message = error instanceof Error ? error.message : String(error);
  return {
    class: "execution",
    code: "worker-error",
    message: shortened(`The worker could not go on: ${message}`),
  };
}

/** The failure of a prompt that ended with `execution_error`. */
export function failureOfPrompt(lookup: Extract<SettledLookup, { state: "failed" }>): JobFailure {
  const { exceptionMessage } = lookup.error;
  const traceback = lookup.report?.traceback?.slice(-tracebackLinesMax);
  return {
    ...failureOfComfyUI(lookup.error),
    ...(exceptionMessage !== undefined && exceptionMessage !== "" && { exceptionMessage }),
    ...(traceback !== undefined && { traceback }),
  };
}

function failureOfComfyUI(error: ComfyUIError): JobFailure {
  const [refused] = error.nodeErrors;
  const nodeId = error.nodeId ?? refused?.nodeId;
  const nodeType = error.nodeType ?? refused?.classType;
  // The first node's error is in the message already.
  const detail = error.nodeErrors
    .slice(1)
    .map((node) => `node ${node.nodeId} (${node.classType ?? "?"}): ${node.message} ${node.details}`.trim())
    .join("; ");
  return {
    class: error.errorClass,
    code: error.code.replaceAll("_", "-"),
    message: shortened(detail === "" ? error.message : `${error.message} ${detail}`),
    ...(nodeId !== undefined && { nodeId }),
    ...(nodeType !== undefined && { nodeType }),
  };
}

function shortened(message: string): string {
  return message.length <= messageLengthMax ? message : `${message.slice(0, messageLengthMax - 1)}…`;
}
