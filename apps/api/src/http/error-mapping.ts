import {
  BatchNotEndedError,
  BatchNotFoundError,
  BatchRemovedError,
  ExtraDataNeededError,
  IllegalTransitionError,
  InvalidJobError,
  KeyNameTakenError,
  JobNotFoundError,
  JobRemovedError,
  LimitReachedError,
  NeededJobEndedError,
  StorageError,
  StoreUnavailableError,
  type JobProblem,
} from "@genga/jobs";
import { problemCodes, RefusedError, statusOf, type ProblemCode } from "./problem-document.ts";

/** How many messages of problems go into an answer's `detail`. */
const detailProblems = 3;

/** The largest body of a request. */
export const bodyBytesMax = 20 * 1024 * 1024;

/** The facts of a request that its refusal depends on. */
interface RefusedRequest {
  purpose: "read" | "submit" | "change";
  /** Its `Content-Encoding`. */
  coding?: string | undefined;
}

/**
 * Turns every kind of error into an answer; no other code does. An unknown error becomes an internal error that shows
 * no details.
 */
export function refusalOf(error: unknown, request: RefusedRequest): RefusedError {
  if (error instanceof RefusedError) return error;
  if (error instanceof InvalidJobError) return refusalOfProblems(error.problems);
  if (error instanceof LimitReachedError) return refusalOfLimit(error);
  if (error instanceof JobRemovedError) return new RefusedError("job-removed", error.message);
  if (error instanceof JobNotFoundError) return new RefusedError("job-not-found", error.message);
  if (error instanceof BatchRemovedError) return new RefusedError("batch-removed", error.message);
  if (error instanceof BatchNotEndedError) return new RefusedError("batch-not-ended", error.message);
  if (error instanceof BatchNotFoundError) return new RefusedError("batch-not-found", error.message);
  if (error instanceof NeededJobEndedError) return new RefusedError("needed-job-ended", error.message);
  if (error instanceof ExtraDataNeededError) return new RefusedError("extra-data-needed", error.message);
  if (error instanceof KeyNameTakenError) return new RefusedError("key-name-taken", error.message);
  if (error instanceof IllegalTransitionError) return new RefusedError("illegal-transition", error.message);
  if (error instanceof StoreUnavailableError) {
    return new RefusedError("store-unavailable", `${error.message} ${effectOf(error, request.purpose)}`, {
      headers: { "retry-after": "2" },
      cause: error,
    });
  }
  if (error instanceof StorageError && error.code === "output-missing") {
    return new RefusedError("output-not-found", "The file of this output is no longer there.", {
      cause: error,
    });
  }
  if (error instanceof StorageError && error.retryable) {
    return new RefusedError("storage-unavailable", "The storage of outputs is not reachable right now.", {
      headers: { "retry-after": "5" },
      cause: error,
    });
  }
  return (
    refusalOfBody(error) ??
    refusalOfCompressedBody(error, request.coding) ??
    new RefusedError(
      "internal-error",
      "The request could not be handled. The log has more under the request's id.",
      {
        cause: error,
      },
    )
  );
}

/** A full queue has room again when one of its jobs begins to run, is cancelled or expires. */
const queueRetryAfterSeconds = 10;

function refusalOfLimit({ limit, max, used, wanted, message }: LimitReachedError): RefusedError {
  return new RefusedError("limit-reached", `${message} Nothing was changed.`, {
    headers: { "retry-after": String(queueRetryAfterSeconds) },
    limit: { name: limit, max, used, wanted },
  });
}

/** Says whether the request may have changed anything before the database failed. */
function effectOf(error: StoreUnavailableError, purpose: RefusedRequest["purpose"]): string {
  // Until a submission is stored, it only reads. If storing it failed, the error says what is known.
  const effect = purpose === "read" ? "none" : (error.effect ?? (purpose === "submit" ? "none" : "unknown"));
  return effect === "none"
    ? "Nothing was changed."
    : "It is not known whether the request took effect; check before you repeat it.";
}

/**
 * If all problems have one code that the API answers with, the answer has that code. Otherwise it has
 * `invalid-request`.
 */
function refusalOfProblems(problems: JobProblem[]): RefusedError {
  const codes = new Set(problems.map(kindOf));
  const [only] = codes;
  const code = codes.size === 1 && only !== undefined ? only : "invalid-request";
  const shown = problems.slice(0, detailProblems).map(({ message }) => message);
  const rest = problems.length - shown.length;
  const detail = [...shown, ...(rest > 0 ? [`And ${rest} more.`] : [])].join(" ");
  return new RefusedError(code, detail, { problems });
}

const fieldKinds: Partial<Record<string, ProblemCode>> = {
  "wrong-type": "invalid-field",
  "unknown-value": "invalid-field",
  "invalid-value": "invalid-field",
  "invalid-text": "invalid-field",
  "invalid-cursor": "invalid-field",
};

function kindOf(problem: JobProblem): ProblemCode {
  const own = problemCodes.find((code) => code === problem.code && statusOf(code) === 422);
  return own ?? fieldKinds[problem.code] ?? "invalid-graph";
}

/** Maps the errors of Express's body parser, by their `type`. */
function refusalOfBody(error: unknown): RefusedError | undefined {
  if (!(error instanceof Error) || !("type" in error)) {
    // Express gives this status to a path that it cannot decode.
    return error instanceof URIError && "status" in error && error.status === 400
      ? new RefusedError("path-not-found", "The path is not well-formed.")
      : undefined;
  }
  switch (error.type) {
    case "entity.too.large":
      return new RefusedError("body-too-large", `A body may have ${limitOf(error)} bytes here.`);
    case "encoding.unsupported":
    case "charset.unsupported":
      return new RefusedError("unsupported-media-type", `${error.message}.`);
    case "request.aborted":
    case "request.size.invalid":
    case "stream.encoding.set":
      return new RefusedError("bad-request", "The body did not arrive whole.");
    default:
      return undefined;
  }
}

function limitOf(error: Error): number {
  return "limit" in error && typeof error.limit === "number" ? error.limit : bodyBytesMax;
}

/** Maps the errors of `Content-Encoding` decoders: Node's own errors, which body-parser marks with the status 400. */
function refusalOfCompressedBody(error: unknown, coding: string | undefined): RefusedError | undefined {
  if (!(error instanceof Error) || !("status" in error) || error.status !== 400) return undefined;
  if (coding === undefined || !("errno" in error)) return undefined;
  const message = `The body is not ${coding.slice(0, 100)}, as its Content-Encoding says, or is not whole.`;
  return new RefusedError("bad-request", message, { cause: error });
}
