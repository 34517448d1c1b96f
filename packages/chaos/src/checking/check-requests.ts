import { dependencyFailed } from "./check-dependencies.ts";
import {
  endings,
  type JobEventAnswer,
  type JobHistory,
  type JobRequest,
  type Violation,
} from "../history/history.ts";

/** Clocks of one machine, read in different processes, may differ by this much. */
const slackMs = 300;

/** Checks that every accepted request about a job had its effect. */
export function checkRequests(job: JobHistory): Violation[] {
  const messages = [
    ...checkCancelling(job),
    ...checkPausing(job),
    ...job.requests.flatMap((request) =>
      isAccepted(request) ? [...checkAccepted(job.events, request)] : [],
    ),
  ];
  return messages.map((message) => ({ rule: "requests", jobId: job.id, message }));
}

/**
 * Checks that a cancelled job is not started again, and that a job which completed in spite of a cancel request says
 * so.
 */
function* checkCancelling({ events, finalAnswers }: JobHistory): Generator<string> {
  let isAsked = false;
  for (const { type, sequence } of events) {
    if (type === "retry_requested") isAsked = false;
    if (type === "cancel_requested") isAsked = true;
    if (isAsked && (type === "requeued" || type === "claimed")) {
      yield `${type} (${sequence}) came after its cancel request`;
    }
  }
  const end = finalAnswers.find(({ job }) => job !== undefined)?.job;
  if (isAsked && end?.status === "completed" && !end.cancelTooLate) {
    yield "it completed after its cancel request, and does not say that the request came too late";
  }
}

/** Checks that no server gets a job while it is paused. Of a paused batch, also jobs that are queued again are paused. */
function* checkPausing({ events }: JobHistory): Generator<string> {
  let isPaused = false;
  for (const { type, sequence, data } of events) {
    if (type === "paused") isPaused = true;
    if (type === "resumed") isPaused = false;
    if (type === "requeued" || type === "retry_requested") isPaused = data["paused"] === true;
    if (isPaused && type === "claimed") yield `it was claimed (${sequence}) while it was paused`;
  }
}

function isAccepted({ httpStatus }: JobRequest): boolean {
  return httpStatus === 202;
}

function* checkAccepted(events: readonly JobEventAnswer[], request: JobRequest): Generator<string> {
  const { kind, at, endedAt } = request;
  const before = events.filter(({ createdAt }) => createdAt < at - slackMs);
  const until = events.filter(({ createdAt }) => createdAt <= endedAt + slackMs);
  const life = until.slice(before.findLastIndex(({ type }) => type === "retry_requested") + 1);
  const what = `a ${kind} that was accepted at ${new Date(at).toISOString()}`;
  switch (kind) {
    case "cancel":
    case "cancel-batch":
      if (!life.some(({ type }) => type === "cancel_requested" || endings.has(type))) {
        yield `${what} left no trace in its history`;
      }
      return;
    case "retry":
    case "retry-batch": {
      const wasDone = until.slice(before.length).some(({ type }) => type === "retry_requested");
      const last = before.at(-1);
      // What failed with another job comes back with that one only.
      const isDue =
        kind === "retry" ||
        (["failed", "timeout"].includes(last?.type ?? "") && last?.data["code"] !== dependencyFailed);
      if (isDue && !wasDone) yield `${what} did not queue it again`;
    }
  }
}
