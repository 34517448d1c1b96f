import { type AttemptEnd, type JobFailure } from "@genga/jobs";

/** An end as it is recorded and shown: `shown` turns what a server said into what clients may read. */
export function shownEnd(end: AttemptEnd, shown: (text: string) => string): AttemptEnd {
  switch (end.kind) {
    case "completed":
      return end.warnings === undefined ? end : { ...end, warnings: end.warnings.map(shown) };
    case "cancelled":
      return end;
    case "failed":
    case "timeout":
    case "requeue":
      return { ...end, failure: shownFailure(end.failure, shown) };
  }
}

function shownFailure(failure: JobFailure, shown: (text: string) => string): JobFailure {
  const { message, exceptionMessage, traceback } = failure;
  return {
    ...failure,
    message: shown(message),
    ...(exceptionMessage !== undefined && { exceptionMessage: shown(exceptionMessage) }),
    ...(traceback !== undefined && { traceback: traceback.map(shown) }),
  };
}
