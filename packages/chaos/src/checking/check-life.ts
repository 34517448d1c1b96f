import { checkStreams } from "./check-streams.ts";
import {
  type JobEventAnswer,
  endings,
  type JobHistory,
  type Trouble,
  type Violation,
} from "../history/history.ts";

/** Checks a job's events and the answers of the APIs about it. */
export function checkLife(job: JobHistory, troubles: readonly Trouble[]): Violation[] {
  const report = (rule: string, message: string): Violation => ({ rule, jobId: job.id, message });
  return [
    ...[...checkEvents(job.events)].map((message) => report("history", message)),
    ...[...checkAnswers(job)].map((message) => report("answers", message)),
    ...[...checkStreams(job, troubles)].map((message) => report("stream", message)),
    ...[...checkFinalAnswers(job)].map((message) => report("terminal", message)),
  ];
}

const phases = ["submitted", "executing", "saving"];

/**
 * Checks that events have no gaps, follow each other in a possible order, and have one end for each run of the job, as
 * the last event.
 */
function* checkEvents(events: readonly JobEventAnswer[]): Generator<string> {
  let state: "nothing" | "queued" | "processing" | "ended" = "nothing";
  let attempt = 0;
  let phase = -1;
  for (const [index, event] of events.entries()) {
    const { type } = event;
    if (event.sequence !== index + 1) {
      yield `event ${index + 1} has the sequence ${event.sequence}`;
    }
    const isClaim = type === "claimed";
    if (event.attempt !== (isClaim ? attempt + 1 : attempt)) {
      yield `${type} (${event.sequence}) is of attempt ${event.attempt}, after attempt ${attempt}`;
    }
    attempt = Math.max(attempt, event.attempt);
    const next = stateAfter(state, event);
    if (next === null) yield `${type} (${event.sequence}) cannot follow while the job is ${state}`;
    if (isClaim) phase = -1;
    if (phases.includes(type)) {
      if (phases.indexOf(type) <= phase)
        yield `${type} (${event.sequence}) follows ${phases[phase] ?? "nothing"}`;
      phase = Math.max(phase, phases.indexOf(type));
    }
    state = next ?? state;
  }
  if (state !== "ended") yield `its last event leaves it ${state}`;
}

function stateAfter(
  state: "nothing" | "queued" | "processing" | "ended",
  event: JobEventAnswer,
): "queued" | "processing" | "ended" | null {
  const { type } = event;
  switch (state) {
    case "nothing":
      return type === "accepted" ? "queued" : null;
    case "queued":
      if (type === "claimed") return "processing";
      if (type === "paused" || type === "resumed" || type === "priority_changed") return "queued";
      return endings.has(type) && (type !== "completed" || isReuse(event)) ? "ended" : null;
    case "processing":
      if (endings.has(type)) return "ended";
      if (type === "requeued") return "queued";
      return phases.includes(type) || type === "adopted" || type === "cancel_requested" ? "processing" : null;
    case "ended":
      return type === "retry_requested" ? "queued" : null;
  }
}

/** Whether the job completed at once, because it was answered from another one. */
export function isReuse({ type, sequence, data }: JobEventAnswer): boolean {
  return type === "completed" && sequence === 2 && typeof data["reusedFrom"] === "string";
}

/** Checks that a job is always found, that errors are only temporary outages, and that nothing goes back. */
function* checkAnswers(job: JobHistory): Generator<string> {
  let before: JobHistory["answers"][number]["job"];
  for (const { at, httpStatus, job: now, text } of job.answers) {
    if (httpStatus !== null && httpStatus !== 200 && httpStatus !== 503) {
      yield `it was answered ${httpStatus} at ${iso(at)}: ${text?.slice(0, 300) ?? ""}`;
    }
    if (now === undefined) continue;
    if (before !== undefined) {
      if (now.sequence < before.sequence) {
        yield `its sequence fell from ${before.sequence} to ${now.sequence} at ${iso(at)}`;
      }
      if (now.attempt < before.attempt) {
        yield `its attempt fell from ${before.attempt} to ${now.attempt} at ${iso(at)}`;
      }
      const isSameAttempt = now.attempt === before.attempt && now.sequence >= before.sequence;
      const isShown = now.status === "processing" && before.status === "processing";
      if (isSameAttempt && isShown && now.progress.percent < before.progress.percent) {
        yield `its progress fell from ${before.progress.percent} to ${now.progress.percent} at ${iso(at)}`;
      }
    }
    before = now;
  }
}

/** Checks that every API reports the same end, which is the end in the events. */
function* checkFinalAnswers(job: JobHistory): Generator<string> {
  const last = job.events.at(-1);
  if (job.finalAnswers.length === 0) yield "no API was asked for its final state";
  for (const { httpStatus, job: seen, text } of job.finalAnswers) {
    if (seen === undefined) {
      yield `after all was healed it was answered ${httpStatus ?? "nothing"}: ${text?.slice(0, 300) ?? ""}`;
    } else if (!endings.has(seen.status)) {
      yield `it never ended: ${seen.status}, attempt ${seen.attempt}, sequence ${seen.sequence}`;
    } else if (seen.status !== last?.type || seen.sequence !== last.sequence) {
      yield `it is ${seen.status} (${seen.sequence}), but its last event is ${last?.type ?? "none"} (${last?.sequence ?? 0})`;
    }
  }
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
