import {
  type Job,
  type JobAttempt,
  type JobEvent,
  type JobFailure,
  type JobPhase,
  type JobProgress,
  type Json,
  type NewOutput,
} from "../job/job.ts";
import { type TerminalStatus } from "../job/job-states.ts";
import { type TicketReference } from "./job-announcer.ts";

/** What fences a write: it takes effect only while the job is `processing` under exactly this attempt and lease number. */
export interface JobLease {
  jobId: string;
  attempt: number;
  leaseNumber: number;
}

/** A row that a ticket names and that may be claimed now. */
export interface Candidate extends TicketReference {
  /** The graph as JSON text. */
  workflow: string;
  workflowHash: string;
  lane: string;
  /** The server on which it failed last, to be avoided when there is another one. */
  avoidServerId: string | null;
  tenantId: string;
  /** How many jobs its tenant may have claimed beside those that it has; `null` = any number. */
  tenantRoom: number | null;
}

export interface Claim extends TicketReference {
  /** Its tenant may have a limited number of jobs running: claims of such tenants are counted one after the other. */
  isLimited?: boolean;
  serverId: string;
  workerId: string;
  clientId: string;
  promptId: string;
}

/** A job under a lease of ours: all that running it needs. */
export interface LeasedJob extends JobLease {
  job: Job;
  /** As they were accepted; they say what is to be kept of the outputs. */
  parameters: Json;
  /** The graph as JSON text. */
  workflow: string;
  /** Random, and its tenant's own: what makes the names of its files on servers unguessable. Never shown. */
  tenantSecret: Uint8Array;
  /** The open part of its extra data as JSON text; `null` = the parameters have it with the same numbers. */
  extraDataText: string | null;
  /** It was submitted with extra data that is secret … */
  hasExtraData: boolean;
  /** … which is this, encrypted; `null` = there is none, or it was lost. */
  sealedExtraData: Uint8Array | null;
  serverId: string;
  clientId: string;
  promptId: string;
  /** How long this attempt has been executing, by the database's clock; `null` = it had not begun. */
  executionElapsedMs: number | null;
  /** Time left until its queue deadline, by the database's clock; `null` = it has none. */
  expiresInMs: number | null;
}

export interface ProgressReport extends JobLease {
  /** Only forward (`mayAdvance`); a change is also an event. */
  phase: JobPhase;
  progress: JobProgress;
}

/** How an attempt ends. `requeue` becomes `cancelled` when a cancel request waits. */
export type AttemptEnd =
  | { kind: "completed"; outputs: NewOutput[]; warnings?: string[] }
  | { kind: "failed"; failure: JobFailure }
  | { kind: "timeout"; failure: JobFailure }
  | { kind: "cancelled" }
  | {
      kind: "requeue";
      failure: JobFailure;
      delayMs: number;
      /** Counts against `attemptsMax`. */
      charged: boolean;
      /** Raises the counter of that name on the job. */
      counts?: "outOfMemory" | "crash";
      /** Another server is preferred next time. */
      avoidServer: boolean;
    };

/** What became of a fenced write. */
export type AttemptResult =
  { held: true; status: TerminalStatus | "queued"; job: Job; event: JobEvent } | { held: false };

export interface HeartbeatResult {
  /** Leases that are still ours. One that is missing was taken: abort its run. */
  held: JobLease[];
  /** Jobs among them whose cancellation was requested. */
  cancelRequested: string[];
}

/**
 * How jobs run: what workers read and write, for whatever tenant. Writes to a running job are fenced by its lease.
 *
 * Every change of a job is one transaction that also appends its event and bumps the job's event sequence. Times and
 * lease expiries are the database's clock, never a caller's. Every method throws `StoreUnavailableError` when the database
 * cannot be reached.
 */
export interface JobRuns {
  /** The job that a ticket names. */
  findJob(id: string): Promise<Job | "removed" | null>;
  /** Which of these tickets name a row that is queued, due, and at that attempt; with its graph. */
  readCandidates(tickets: TicketReference[]): Promise<Candidate[]>;
  /** Set-based `queued → processing`, within the tenants' limits; only those that were won come back. */
  claimJobs(claims: Claim[], leaseMs: number): Promise<LeasedJob[]>;
  /** The attempts of a job that runs, oldest first. */
  listAttempts(jobId: string): Promise<JobAttempt[]>;
  /** One statement renews all; an expired lease that nobody took is renewed too. */
  renewLeases(leases: JobLease[], leaseMs: number): Promise<HeartbeatResult>;
  /** One statement for all; returns the events of phases that changed. Stale reports change nothing. */
  recordProgress(reports: ProgressReport[]): Promise<JobEvent[]>;
  /** Outputs, status, attempt record and event in one fenced transaction. */
  endAttempt(lease: JobLease, end: AttemptEnd): Promise<AttemptResult>;
  /** Expires leases at once (hand-over): the next owner need not wait. */
  releaseLeases(leases: JobLease[]): Promise<void>;
  /** One statement takes over all expired leases of jobs on these servers, raising their lease numbers. */
  adoptJobs(serverIds: string[], workerId: string, leaseMs: number): Promise<LeasedJob[]>;
  /**
   * Requeues (uncharged; or cancels, where asked) processing jobs whose lease has been expired for `graceMs` and whose
   * server nobody owns. Returns what became of them.
   */
  requeueAbandoned(graceMs: number): Promise<{ job: Job; event: JobEvent }[]>;
  /** Queued jobs whose `expiresAt` has passed → `timeout`, up to `limit`. */
  expireQueued(limit: number): Promise<{ job: Job; event: JobEvent }[]>;
  /**
   * Which of these prompt ids belong to attempts on this server that have ended: nobody waits for them any more. Those of
   * jobs that were removed while the server was away are among them.
   */
  findEndedPrompts(serverId: string, promptIds: string[]): Promise<string[]>;
}
