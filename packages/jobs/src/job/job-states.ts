import { type JobPhase, type JobStatus } from "./job.ts";

/**
 * Everything that may follow each status. `queued` after an ended status only by an explicit retry request. The conditions of
 * the statements say the same: `packages/database/test/job-transitions.test.ts` compares them with this table.
 */
const transitions: Record<JobStatus, readonly JobStatus[]> = {
  queued: ["processing", "cancelled", "timeout"],
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

/** It has ended, and may start anew. */
export function mayBeRetried(status: JobStatus): status is TerminalStatus {
  return isTerminal(status) && mayBecome(status, "queued");
}

export function mayAdvance(from: JobPhase, to: JobPhase): boolean {
  return phaseOrder.indexOf(to) > phaseOrder.indexOf(from);
}
