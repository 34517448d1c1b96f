import { type Job, type JobEvent, type NewBatch, type NewJob } from "../job/job.ts";
import { type Actor } from "./audit-store.ts";
import { type RemovedJob } from "./keeping-store.ts";

/** Extra data, encrypted for one job. */
export type SealForJob = (jobId: string) => Uint8Array;

/** Answer to a cancel request. `cancelled`: it was queued and has ended now; `requested`: its worker was asked. */
export type CancelResult =
  | { outcome: "cancelled"; job: Job; event: JobEvent }
  | { outcome: "requested"; job: Job; event: JobEvent | null }
  | { outcome: "ended"; job: Job };

export interface BatchCancelResult {
  /** Jobs that were queued and have ended now. */
  cancelled: { job: Job; event: JobEvent }[];
  /** Jobs whose workers were asked. */
  requested: { job: Job; event: JobEvent }[];
}

/**
 * What clients ask for: accepting jobs, and changing what was accepted. Callers have found the job or the batch among those of
 * the tenant that asks (`JobReader`).
 *
 * Every change of a job is one transaction that also appends its event and bumps the job's event sequence. Every method
 * throws `StoreUnavailableError` when the database cannot be reached.
 */
export interface JobRequests {
  /** Inserts all or nothing, each job `queued` with its `accepted` event and its rank; returns them in the given order. */
  insertJobs(submission: { tenantId: string; batch: NewBatch | null; jobs: NewJob[] }): Promise<Job[]>;
  /** In this and what follows, `by` names the key of whoever asks, for the events of the jobs. */
  requestCancel(id: string, by?: string): Promise<CancelResult | "removed" | null>;
  /**
   * `failed | timeout | cancelled` → `queued`, uncharged attempts cleared.
   * @param seal makes the extra data of a job anew, which was erased at its end
   * @throws IllegalTransitionError @throws ExtraDataNeededError
   */
  retryJob(id: string, seal?: SealForJob, by?: string): Promise<Job | "removed" | null>;
  /**
   * Removes an ended job with all that only it uses, leaving a mark that answers 410. Its tickets and files are still to be
   * removed; whoever keeps house sees to it (`KeepingStore.listPendingRemovals`). @throws IllegalTransitionError
   */
  removeJob(id: string, by?: Actor): Promise<RemovedJob | "removed" | null>;
  /** Ends all queued jobs of the batch and notes the request on all processing ones. */
  cancelBatch(batchId: string, by?: string): Promise<BatchCancelResult>;
  /**
   * All failed and timed out jobs of the batch → `queued`; returns them.
   * @param seal for those that were submitted with extra data @throws ExtraDataNeededError
   */
  retryBatch(batchId: string, seal?: SealForJob, by?: string): Promise<Job[]>;
}
