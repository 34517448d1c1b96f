import { type History, type JobWrite, type OrphanedFile, type Violation } from "../history/history.ts";

/** Why a file without an output was left: its writer had ended, or no longer had the lease. */
export type OrphanCause = "its writer had ended" | "its lease was taken over" | "for no reason";

/**
 * Checks that only a writer that could not remove its file has left a file without an output. Clients never see such
 * files.
 */
export function checkFiles(history: History): Violation[] {
  return history.orphans
    .filter((orphan) => causeOfOrphan(orphan, history) === "for no reason")
    .map(({ name, jobId }) => ({
      rule: "files",
      jobId,
      message: `${name} was stored, no output names it, and its writer ended the attempt itself`,
    }));
}

export function causeOfOrphan(
  { jobId, attempt, leaseNumber }: OrphanedFile,
  { writes, living }: Pick<History, "writes" | "living">,
): OrphanCause {
  const isOfLease = (state: JobWrite["before"]): boolean =>
    state?.attempt === attempt && state.leaseNumber === leaseNumber && state.status === "processing";
  const ofJob = writes.filter((write) => write.jobId === jobId);
  const owner = ofJob.find(({ after }) => isOfLease(after))?.after.leaseOwner;
  if (owner === undefined || owner === null || !living.includes(owner)) return "its writer had ended";
  const end = ofJob.find(({ before, after }) => isOfLease(before) && !isOfLease(after));
  return end?.after.leaseNumber === leaseNumber ? "for no reason" : "its lease was taken over";
}
