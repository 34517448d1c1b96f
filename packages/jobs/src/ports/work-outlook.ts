import { type Job, type JobPhase } from "../job/job.ts";

/** A job that a server has, running or waiting there. */
export interface RunningWork {
  jobId: string;
  batchId: string | null;
  serverId: string;
  phase: JobPhase | null;
  /** As its worker said with its last progress … */
  remainingLowMs: number | null;
  remainingHighMs: number | null;
  /** … so long ago; `null` = it has said nothing yet. */
  toldAgoMs: number | null;
  /** The mean run of its tenant's jobs in its lane, or of all jobs there; `null` = none was measured. */
  runMs: number | null;
}

/** The waiting jobs of a lane, of all tenants. */
export interface WaitingWork {
  lane: string;
  mainModel: string | null;
  jobs: number;
  /** What they will take in all, by the measured runs of their tenants; `null` = none was measured. */
  ms: number | null;
}

/** What stands before one waiting job. */
export interface WorkBefore {
  /** The mean run of its tenant's jobs in its lane, or else of all jobs there. */
  ownRunMs: number | null;
  /** The mean run of all jobs of its lane. */
  laneRunMs: number | null;
  /** What its tenant's jobs take that were accepted before it and wait in other lanes of the same model. */
  alikeMs: number;
  /**
   * By the ranks of the lane's tenants, what all jobs take that come before it, however many these are. `null` = no run of
   * the lane was measured, or it was not asked for.
   */
  rankedMs: number | null;
}

/** What the farm has to do. Nothing here costs more when more jobs wait. Throws `StoreUnavailableError` as all stores. */
export interface WorkOutlook {
  /** The jobs of all servers. */
  listRunning(): Promise<RunningWork[]>;
  /** The lanes in which jobs wait. */
  listWaiting(): Promise<WaitingWork[]>;
  /** @param options.byRanks too many jobs come before it to be counted */
  findBefore(job: Job, options: { byRanks: boolean }): Promise<WorkBefore>;
  /** The waiting job of a batch that will probably begin last; `null` = none of its jobs waits. */
  findLastWaiting(tenantId: string, batchId: string): Promise<Job | null>;
}
