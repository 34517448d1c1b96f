import { type BatchDetail, type JobDetail } from "@genga/client";
import { safeText } from "../terminal/safe-text.ts";
import { durationText } from "../terminal/times.ts";

/** What is watched: a job or a batch. */
export type State = JobDetail | BatchDetail;

export function isBatch(state: State): state is BatchDetail {
  return "counts" in state;
}

export function isCompleted(state: State): boolean {
  return isBatch(state) ? state.counts.completed === state.total : state.status === "completed";
}

export function percentOf(state: State): number {
  return isBatch(state) ? state.percent : state.progress.percent;
}

/** What a job or a batch is called where several are listed. */
export function labelOf(state: State): string {
  const name = isBatch(state) ? state.name : (state.prompt ?? state.template?.name ?? state.type);
  const short = Array.from(safeText(name ?? ""))
    .slice(0, 24)
    .join("");
  return `${state.id.slice(0, 4)}…${state.id.slice(-6)} ${short}`.trim();
}

/** What it does now, in a few words, safe for a terminal. */
export function doingText(state: State): string {
  return safeText(isBatch(state) ? ofBatch(state) : ofJob(state));
}

function ofBatch({ counts, total, done, pausedAt }: BatchDetail): string {
  const ended = counts.completed + counts.failed + counts.timeout + counts.cancelled;
  const rest = [
    pausedAt !== null && !done ? "paused" : "",
    counts.processing > 0 ? `${counts.processing} running` : "",
    counts.failed + counts.timeout > 0 ? `${counts.failed + counts.timeout} failed` : "",
    counts.cancelled > 0 ? `${counts.cancelled} cancelled` : "",
  ].filter((part) => part !== "");
  return [`${ended} of ${total}`, ...rest].join(", ");
}

function ofJob(job: JobDetail): string {
  if (job.failure !== null) return `${job.status}: ${job.failure.message}`;
  if (job.status === "queued") return job.waitingFor?.message ?? "waits";
  if (job.status !== "processing") return job.status;
  const { nodeTitle, node, step, steps } = job.progress;
  const counted = step === null || steps === null ? "" : ` ${step}/${steps}`;
  return `${nodeTitle ?? node ?? job.phase ?? "runs"}${counted}`;
}

/** How long it will take, as far as that was measured. */
export function remainingText(state: State, now: number = Date.now()): string {
  const endsAt = state.eta?.endsAt.expected;
  if (endsAt === undefined || isEnded(state)) return "";
  return `about ${durationText(Math.max(0, Date.parse(endsAt) - now))} left`;
}

export function isEnded(state: State): boolean {
  return isBatch(state) ? state.done : state.status !== "queued" && state.status !== "processing";
}
