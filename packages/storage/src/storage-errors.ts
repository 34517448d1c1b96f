import { types } from "node:util";
import { StorageError } from "@genga/jobs";

/**
 * Maps errors of the file system to `StorageError`; no other file does this.
 *
 * @param intention completes the sentence "Could not …"
 */
export function mapFileError(error: unknown, intention: string): unknown {
  if (error instanceof StorageError || !isFileError(error)) return error;
  if (fullCodes.has(error.code)) {
    return new StorageError("storage-full", `Could not ${intention}: the disk is full.`, {
      retryable: true,
      cause: error,
    });
  }
  return new StorageError("storage-unavailable", `Could not ${intention} (${error.code}).`, {
    retryable: true,
    cause: error,
  });
}

/** Whether the error says that a file or folder does not exist. */
export function isMissing(error: unknown): boolean {
  return hasCode(error, "ENOENT") || hasCode(error, "ENOTDIR");
}

export function hasCode(error: unknown, code: string): boolean {
  return types.isNativeError(error) && "code" in error && error.code === code;
}

/** Whether an error comes from a system call. Errors of programming (Node's `ERR_…`) do not. */
export function isFileError(error: unknown): error is Error & { code: string } {
  return (
    types.isNativeError(error) && "syscall" in error && "code" in error && typeof error.code === "string"
  );
}

const fullCodes = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);
