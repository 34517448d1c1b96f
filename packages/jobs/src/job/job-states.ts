import { type JobPhase, type JobStatus } from "./job.ts";

/**
 * The statuses that may follow each status. An ended job becomes `queued` only by an explicit retry request, of itself or
 * of a job that it depends on; a queued job fails when such a job ends without success. SQL
 * statements have the same conditions: `packages/database/test/job-transitions.test.ts` compares them with this table.
 */
const transitions: Record<JobStatus, readonly JobStatus[]> = {
  queued: ["processing", "failed", "cancelled", "timeout"],
  processing: ["queued", "completed", "failed", "timeout", "cancelled"],
  completed: [],
  failed: ["queued"],
  timeout: ["queued"],
  cancelled: ["queued"],
};

/** The order of phases within one attempt. An attempt never goes back to an earlier phase. */
const phaseOrder: readonly JobPhase[] = ["waiting", "submitted", "executing", "saving"];

export type TerminalStatus = "completed" | "failed" | "timeout" | "cancelled";

export function isTerminal(status: JobStatus): status is TerminalStatus {
  return status !== "queued" && status !== "processing";
}

export function mayBecome(from: JobStatus, to: JobStatus): boolean {
  return transitions[from].includes(to);
}

/** Whether a job with this status has ended and may be retried. */
export function mayBeRetried(status: JobStatus): status is TerminalStatus {
  return isTerminal(status) && mayBecome(status, "queued");
}

export function mayAdvance(from: JobPhase, to: JobPhase): boolean {
  return phaseOrder.indexOf(to) > phaseOrder.indexOf(from);
}
