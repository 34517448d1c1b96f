import { type JobPhase, type JobStatus } from "./job.ts";
import { IllegalTransitionError } from "./job-errors.ts";

/** Everything that may follow each status. `queued` after an ended status only by an explicit retry request. */
const transitions: Record<JobStatus, readonly JobStatus[]> = {
  queued: ["processing", "cancelled", "failed", "timeout"],
  processing: ["queued", "completed", "failed", "timeout", "cancelled"],
  completed: [],
  failed: ["queued"],
  timeout: ["queued"],
  cancelled: ["queued"],
};

/** The order of phases within one attempt; an attempt never goes back. */
const phaseOrder: readonly JobPhase[] = ["waiting", "submitted", "executing", "saving"];

export type TerminalStatus = "completed" | "failed" | "timeout" | "cancelled";

export function isTerminal(status: JobStatus): status is TerminalStatus {
  return status !== "queued" && status !== "processing";
}

export function mayBecome(from: JobStatus, to: JobStatus): boolean {
  return transitions[from].includes(to);
}

/** All statuses from which `to` can be reached: what a guarded UPDATE names in its WHERE. */
export function statusesBefore(to: JobStatus): JobStatus[] {
  return (Object.keys(transitions) as JobStatus[]).filter((from) => mayBecome(from, to));
}

/** @throws IllegalTransitionError */
export function assertMayBecome(from: JobStatus, to: JobStatus): void {
  if (!mayBecome(from, to)) throw new IllegalTransitionError(from, to);
}

export function mayAdvance(from: JobPhase, to: JobPhase): boolean {
  return phaseOrder.indexOf(to) > phaseOrder.indexOf(from);
}
