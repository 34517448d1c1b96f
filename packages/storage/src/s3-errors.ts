import { S3ServiceException } from "@aws-sdk/client-s3";
import { StorageError } from "@genga/jobs";

/** Error codes for a full storage. Servers other than AWS have quotas, and codes of their own for them. */
const fullCodes: ReadonlySet<string> = new Set([
  "XMinioStorageFull",
  "QuotaExceeded",
  "InsufficientCapacity",
]);

/**
 * Maps errors of S3 to `StorageError`; no other file does this. An error without an answer, or with an answer that
 * reports a fault of the server, is retryable. An access error (credentials, bucket) is not: an operator has to correct
 * it first.
 *
 * @param intention completes the sentence "Could not …"
 */
export function mapS3Error(error: unknown, intention: string): unknown {
  if (error instanceof StorageError) return error;
  if (!(error instanceof Error)) return error;
  const status = error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
  // A question for an object's head alone is answered without a body, and so without the name of the error.
  if (error.name === "NoSuchKey" || error.name === "NotFound") {
    return new StorageError("output-missing", `Could not ${intention}: there is no such object.`, {
      retryable: false,
      cause: error,
    });
  }
  if (status === 416) {
    return new StorageError("invalid-range", `Could not ${intention}: the object is shorter.`, {
      retryable: false,
      cause: error,
    });
  }
  if (fullCodes.has(error.name) || status === 507) {
    return new StorageError("storage-full", `Could not ${intention}: the storage is full.`, {
      retryable: true,
      cause: error,
    });
  }
  const isPassing = passingCodes.has(error.name) || (status !== undefined && passingStatuses.has(status));
  const isRefusal = status !== undefined && status >= 400 && status < 500 && !isPassing;
  if (isRefusal || error.name === "CredentialsProviderError") {
    return new StorageError(
      "storage-refused",
      `Could not ${intention}: S3 refuses it (${reasonOf(error)}).`,
      {
        retryable: false,
        cause: error,
      },
    );
  }
  return new StorageError("storage-unavailable", `Could not ${intention} (${reasonOf(error)}).`, {
    retryable: true,
    cause: error,
  });
}

/** Statuses of temporary errors: time-outs and "slow down". */
const passingStatuses: ReadonlySet<number> = new Set([408, 409, 425, 429]);

/**
 * Codes with a 4xx status of errors that may not happen again: lost bytes, differing clocks, credentials that are
 * renewed.
 */
const passingCodes: ReadonlySet<string> = new Set([
  "BadDigest",
  "ExpiredToken",
  "IncompleteBody",
  "RequestTimeout",
  "RequestTimeTooSkewed",
  "XAmzContentSHA256Mismatch",
]);

function reasonOf(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : error.name;
}
