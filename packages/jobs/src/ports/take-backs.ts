import { type Claim, type JobLease, type LeasedJob } from "./job-runs.ts";

/** A prompt that waits in the queue of its server and may be taken back from there. */
export interface WaitingPrompt extends JobLease {
  /** The server in whose queue it waits. */
  serverId: string;
  lane: string;
  requires: string[];
  /** The band of its priority, 0 (urgent) to 3 (low). */
  band: number;
  /** How long jobs of its lane usually run; `null` = not measured. */
  runMs: number | null;
  /** The main model of its lane; `null` = it has none, or the lane is `default`. */
  mainModel: string | null;
  /** How long servers take to load that; `null` = not measured. */
  loadMs: number | null;
  /** How long what stands before it will probably take from now on; `null` = not known. */
  aheadMs: number | null;
  /** The servers on which its job has had attempts, this one included. */
  triedServerIds: string[];
}

/** The graph of a job. */
export interface PromptGraph {
  /** As JSON text. */
  workflow: string;
  workflowHash: string;
}

/** The failure code of an attempt whose prompt was taken back, and of its `requeued` event. */
export const takenBackCode = "taken-back";

/** The same of a prompt that was given back, because its server gets no new work. */
export const givenBackCode = "given-back";

/**
 * Take-backs: a prompt that waits in the queue of a busy server is removed from there, and its job begins on a server that
 * stands empty. The worker of the empty server asks; the one of the busy server removes the prompt, and queues the job for
 * the empty server alone (`AttemptEnd`, `takenBackFor`); the first one claims it. Every method throws
 * `StoreUnavailableError` when the database cannot be reached.
 */
export interface TakeBacks {
  /**
   * At most `limit` waiting prompts, those that wait longest first. Without those whose job could not be claimed again if it
   * were queued (something is paused, cancellation was requested, its tenant has reached its limit), that were taken back
   * at the end of the last attempt, or for which somebody asks already.
   */
  listWaiting(limit: number): Promise<WaitingPrompt[]>;
  readGraph(jobId: string): Promise<PromptGraph | null>;
  /** Asks for the prompt, for that server. `false`: the prompt has begun, or somebody else was faster. */
  ask(lease: JobLease, serverId: string): Promise<boolean>;
  /**
   * The owner of the prompt's server begins to take it back, at most once while it owns the attempt.
   * @returns the server for which; `null` = the prompt stays, since nobody asks any more, that server has work, or the job
   *   could not be claimed again
   */
  begin(lease: JobLease): Promise<string | null>;
  /**
   * The owner of the prompt's server, which gets no new work, begins to take it back for whichever server is free, at most once
   * while it owns the attempt. `false`: the prompt stays, since it has begun, or the job could not be claimed again.
   */
  beginGivingBack(lease: JobLease): Promise<boolean>;
  /** Claims jobs that were queued for the servers of the claims alone, before anybody else may. They need no tickets. */
  claim(claims: Claim[], leaseMs: number): Promise<LeasedJob[]>;
}
