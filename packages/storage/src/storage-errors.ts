import { types } from "node:util";
import { StorageError } from "@genga/jobs";

/**
 * The one place where errors of the file system become ours.
 *
 * @param intention completes "Could not …"
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

/** True for a file or folder that is not there, or no longer. */
export function isMissing(error: unknown): boolean {
  return hasCode(error, "ENOENT") || hasCode(error, "ENOTDIR");
}

export function hasCode(error: unknown, code: string): boolean {
  return types.isNativeError(error) && "code" in error && error.code === code;
}

/** From a system call; mistakes of ours (Node's `ERR_…`) are not. */
export function isFileError(error: unknown): error is Error & { code: string } {
  return (
    types.isNativeError(error) && "syscall" in error && "code" in error && typeof error.code === "string"
  );
}

const fullCodes = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);
