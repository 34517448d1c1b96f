import { type Job, type JobEvent, type JobPriority, type NewBatch, type NewJob } from "../job/job.ts";
import { type Actor } from "./audit-store.ts";
import { type IdempotencyClaim } from "./idempotency-store.ts";
import { type PassedOn } from "./job-runs.ts";
import { type RemovedJob } from "./keeping-store.ts";
import { type Remarks } from "./workflow-resolver.ts";

/** Extra data, encrypted for one job. */
export type SealForJob = (jobId: string) => Uint8Array;

/**
 * The answer to a cancel request. `cancelled`: the job was queued and is cancelled now; `requested`: the job is
 * running, and its worker is to end it; `running`: only a waiting job was to be cancelled, and it runs.
 */
export type CancelResult =
  | { outcome: "cancelled"; job: Job; event: JobEvent; passedOn?: PassedOn }
  | { outcome: "requested"; job: Job; event: JobEvent | null }
  | { outcome: "running"; job: Job }
  | { outcome: "ended"; job: Job };

export interface CancelOptions {
  /** Not if it runs. In the queue of its server, behind another one, it waits. */
  onlyWaiting?: boolean;
}

export interface BatchCancelResult {
  /** Jobs that were queued and are cancelled now. */
  cancelled: { job: Job; event: JobEvent }[];
  /** Running jobs, which their workers are to end. */
  requested: { job: Job; event: JobEvent }[];
  /** What this did to jobs of other batches. */
  passedOn: PassedOn;
}

/** A job after a request for a change of what waits; `event: null` = the request did not change it. */
export interface WaitingChange {
  job: Job;
  event: JobEvent | null;
}

/** Takes what was committed about jobs that depend on others. Must not throw. */
export type TellPassedOn = (passedOn: PassedOn) => void;

/** What a step of the removal of a batch has done. */
export interface BatchRemoval {
  removed: RemovedJob[];
  /**
   * What the batch had left before this step: `none` = nothing, it is removed; `active` = jobs that have not ended, so that
   * nothing was removed; `ended` = jobs, of which this step has removed some.
   */
  left: "none" | "active" | "ended";
}

/** Jobs to accept together. */
export interface NewSubmission {
  tenantId: string;
  batch: NewBatch | null;
  jobs: NewJob[];
  /** The key of the request, under which the same transaction records what was accepted. */
  claim?: IdempotencyClaim | undefined;
  /** Kept with the claim. */
  remarks?: Remarks;
}

/**
 * Changes that clients request: accepting jobs, and changing accepted ones. The caller has made sure with `JobReader`
 * that the job or batch belongs to the principal's tenant.
 *
 * Every change of a job is one transaction that also appends its event and raises the job's event sequence. Every
 * method throws `StoreUnavailableError` when the database cannot be reached.
 */
export interface JobRequests {
  /**
   * Inserts all jobs or none. Each is `queued`, with its `accepted` event, its rank, and the count of jobs that it waits
   * for; or `completed`, where it may be answered from a completed job with the same graph. Returns them in the given order.
   * @throws ClaimLostError
   * @throws InvalidJobError naming jobs to depend on that the tenant does not have, or that have ended without success
   */
  insertJobs(submission: NewSubmission): Promise<Job[]>;
  /**
   * Stores nothing, and refuses what `insertJobs` would refuse at this moment.
   * @throws InvalidJobError
   * @throws LimitReachedError
   */
  checkJobs(submission: NewSubmission): Promise<void>;
  /** Here and below, `by` is the name of the client's key, for the events of the jobs. */
  requestCancel(id: string, by?: string, options?: CancelOptions): Promise<CancelResult | "removed" | null>;
  /**
   * `failed | timeout | cancelled` → `queued`; also resets the counts of attempts. Jobs that failed because of this one,
   * and of no other, are queued again with it, except for those that need secret extra data again.
   * @throws NeededJobEndedError
   * @param seal encrypts the extra data, which the client sent again because it was erased when the job ended
   * @throws IllegalTransitionError
   * @throws ExtraDataNeededError
   */
  retryJob(id: string, seal?: SealForJob, by?: string): Promise<Job | "removed" | null>;
  /**
   * Pauses a job that is queued. It keeps its rank, holds no ticket, and its queue deadline goes on counting. A job that is
   * not queued, or is paused already, is returned unchanged.
   */
  pauseJob(id: string, by?: string): Promise<WaitingChange | "removed" | null>;
  /** Lets a paused job wait for a server again. */
  resumeJob(id: string, by?: string): Promise<WaitingChange | "removed" | null>;
  /** Pauses the batch and its queued jobs. Jobs of a paused batch that are queued again are paused at once. */
  pauseBatch(batchId: string, by?: string): Promise<WaitingChange[]>;
  /**
   * Moves a queued job into the band of another priority, to the end of its tenant's queue. A job that is not queued, or has
   * that priority already, is returned unchanged.
   */
  changePriorityOfJob(
    id: string,
    priority: JobPriority,
    by?: string,
  ): Promise<WaitingChange | "removed" | null>;
  /** Does so with all queued jobs of the batch, in their order. */
  changePriorityOfBatch(batchId: string, priority: JobPriority, by?: string): Promise<WaitingChange[]>;
  /** Resumes the batch and all of its paused jobs. */
  resumeBatch(batchId: string, by?: string): Promise<WaitingChange[]>;
  /**
   * Removes an ended job with everything that no other job uses, and keeps a tombstone, by which the API answers 410.
   * The job's tickets and files are removed later, by the caller or by the keeper (`KeepingStore.listPendingRemovals`).
   * @param tell is called, perhaps before an error, with what the job's end did to jobs that had not been told of it yet
   * @throws IllegalTransitionError
   */
  removeJob(id: string, by?: Actor, tell?: TellPassedOn): Promise<RemovedJob | "removed" | null>;
  /**
   * Removes some hundred jobs of an ended batch as `removeJob` does; to be repeated until nothing is left. No lock is held
   * between two steps.
   * @param by for the first step, which records the removal
   * @param tell as for `removeJob`
   */
  removeBatchPart(batchId: string, by?: Actor, tell?: TellPassedOn): Promise<BatchRemoval>;
  /**
   * Cancels all queued jobs of the batch, and records the request on all processing ones. Jobs of other batches that depend
   * on cancelled ones fail.
   */
  cancelBatch(batchId: string, by?: string): Promise<BatchCancelResult>;
  /**
   * Queues all failed and timed out jobs of the batch again, and jobs that failed because of these; returns them. A job
   * whose needed job stays failed stays failed, too.
   * @param seal for jobs that were submitted with secret extra data
   * @throws ExtraDataNeededError
   */
  retryBatch(batchId: string, seal?: SealForJob, by?: string): Promise<Job[]>;
}
