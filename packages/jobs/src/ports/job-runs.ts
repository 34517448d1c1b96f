import {
  type Job,
  type JobAttempt,
  type JobEvent,
  type JobFailure,
  type JobInput,
  type JobPhase,
  type JobProgress,
  type Json,
  type NewOutput,
} from "../job/job.ts";
import { type TerminalStatus } from "../job/job-states.ts";
import { type TicketReference } from "./job-announcer.ts";

/**
 * The fence of a write: it takes effect only while the job is `processing` with exactly this attempt and lease number.
 */
export interface JobLease {
  jobId: string;
  attempt: number;
  leaseNumber: number;
}

/** The row of a ticket that may be claimed now. */
export interface Candidate extends TicketReference {
  /** The graph as JSON text. */
  workflow: string;
  workflowHash: string;
  lane: string;
  /** Labels that its server must have. */
  requires: string[];
  /** Every server that takes its graph will fail to run it (`NewDoorPrompt.mustFail`). */
  mustFail?: boolean;
  /** The server on which the job failed last. Another server is preferred. */
  avoidServerId: string | null;
  /** It ran out of memory before, so a server with more of it is worth waiting behind a running job. */
  ranOutOfMemory?: boolean;
  tenantId: string;
  /** How many more jobs its tenant may have running; `null` = no limit. */
  tenantRoom: number | null;
}

export interface Claim extends TicketReference {
  /** The tenant has a limit of running jobs, so claims of its jobs are counted one after the other. */
  isLimited?: boolean;
  serverId: string;
  workerId: string;
  clientId: string;
  promptId: string;
}

/** A job whose lease this worker holds, with everything that is needed to run it. */
export interface LeasedJob extends JobLease {
  job: Job;
  /** The accepted parameters; they say which metadata is kept in the outputs. */
  parameters: Json;
  /** The graph as JSON text. */
  workflow: string;
  /** Files of other jobs that the graph reads, by the names that it has for them. */
  inputs: JobInput[];
  /** A random secret of the tenant. It makes the names of the tenant's files on servers unguessable. Never shown. */
  tenantSecret: Uint8Array;
  /** The open part of the extra data as JSON text; `null` = the parameters contain the same numbers. */
  extraDataText: string | null;
  /** The job was submitted with secret extra data. */
  hasExtraData: boolean;
  /** The secret extra data, encrypted; `null` = there is none, or it was lost. */
  sealedExtraData: Uint8Array | null;
  /** What its client said in ComfyUI's protocol; `null` = the job came another way. */
  door: DoorRun | null;
  serverId: string;
  clientId: string;
  promptId: string;
  /** How long this attempt has been executing, by the database's clock; `null` = it has not begun to execute. */
  executionElapsedMs: number | null;
  /** The time until the job's queue deadline, by the database's clock; `null` = it has none. */
  expiresInMs: number | null;
}

/** A run of which a client of ComfyUI's protocol is told, and whose temporary outputs are kept. */
export interface DoorRun {
  /** The client's name of the prompt. */
  promptId: string;
  /** The server runs only these output nodes; `null` = all. */
  targets: string[] | null;
  /** Nodes that send their pictures as frames in the client's graph. */
  socketNodes: string[];
}

export interface ProgressReport extends JobLease {
  /** A phase only advances (`mayAdvance`); a change of it is also an event. */
  phase: JobPhase;
  progress: JobProgress;
}

/** The end of an attempt. `requeue` becomes `cancelled` when cancellation was requested. */
export type AttemptEnd =
  | { kind: "completed"; outputs: NewOutput[]; warnings?: string[] }
  | { kind: "failed"; failure: JobFailure }
  | { kind: "timeout"; failure: JobFailure }
  | { kind: "cancelled" }
  | {
      kind: "requeue";
      failure: JobFailure;
      delayMs: number;
      /** Whether the attempt counts towards `attemptsMax`. */
      charged: boolean;
      /** The counter of the job to raise by 1. */
      counts?: "outOfMemory" | "crash";
      /** Whether another server is preferred for the next attempt. */
      avoidServer: boolean;
      /**
       * The prompt was taken back for this server, which alone may claim the job before `delayMs` have passed
       * (`TakeBacks.claim`). The job then shows no failure.
       */
      takenBackFor?: string;
    };

/** What the end of jobs did to those that depend on them. */
export interface PassedOn {
  /** Queued jobs that are ready now, and have no ticket yet. */
  released: Job[];
  /** Jobs that cannot run any more, with the event of their failure. */
  failed: { job: Job; event: JobEvent }[];
}

/** The result of a fenced write. `passedOn` is absent when no other job was affected. */
export type AttemptResult =
  | { held: true; status: TerminalStatus | "queued"; job: Job; event: JobEvent; passedOn?: PassedOn }
  | { held: false };

export interface HeartbeatResult {
  /** The leases that this worker still holds. Another worker took each missing one, so its run must be aborted. */
  held: JobLease[];
  /** Of the held jobs, those whose cancellation was requested. */
  cancelRequested: string[];
  /** Of the held jobs, those whose waiting prompt somebody wants for an empty server (`TakeBacks`). */
  takeBackAsked: string[];
}

/** What the sweeper looks for: `hasReady` also when all that is ready waits for its tenant's limit. */
export interface SweeperWork {
  hasAbandoned: boolean;
  hasExpired: boolean;
  /** Ends to pass on to jobs that depend on the ended ones. */
  hasEnds: boolean;
  hasGuessedLanes: boolean;
  /** Ready jobs without a ticket. */
  hasReady: boolean;
  hasRepricing: boolean;
}

/**
 * What workers read and write to run jobs, for all tenants. Writes to a running job are fenced by its lease.
 *
 * Every change of a job is one transaction that also appends its event and raises the job's event sequence. Times and
 * lease expiries are the database's clock, never the caller's. Every method throws `StoreUnavailableError` when the
 * database cannot be reached.
 */
export interface JobRuns {
  /** The job that a ticket names. */
  findJob(id: string): Promise<Job | "removed" | null>;
  /** Those of these tickets whose row is ready, and whose ticket is still this one; each with its graph. */
  readCandidates(tickets: TicketReference[]): Promise<Candidate[]>;
  /**
   * `queued → processing` for many jobs in one statement, within the limits of tenants. Returns the jobs that this
   * worker claimed.
   */
  claimJobs(claims: Claim[], leaseMs: number): Promise<LeasedJob[]>;
  /** Which of these files jobs own: the one that stored it, or others. A file that none owns is never owned again. */
  listOwned(storageKeys: string[]): Promise<string[]>;
  /** The attempts of a job that runs, oldest first. */
  listAttempts(jobId: string): Promise<JobAttempt[]>;
  /** Renews all leases in one statement, including expired ones that no worker has taken. */
  renewLeases(leases: JobLease[], leaseMs: number): Promise<HeartbeatResult>;
  /** Writes all reports in one statement; returns the events of changed phases. Stale reports change nothing. */
  recordProgress(reports: ProgressReport[]): Promise<JobEvent[]>;
  /**
   * Writes outputs, status, attempt record and event in one fenced transaction, which also passes the end on to up to 500
   * jobs that depend on this one.
   * @param entry of a job of the door: what the server's history says of its end (`DoorEntry`), stored unless the job is requeued
   */
  endAttempt(lease: JobLease, end: AttemptEnd, entry?: string): Promise<AttemptResult>;
  /** Lets leases expire at once, so that the next owner does not wait (hand-over). */
  releaseLeases(leases: JobLease[]): Promise<void>;
  /** Takes over all expired leases of jobs on these servers in one statement, and raises their lease numbers. */
  adoptJobs(serverIds: string[], workerId: string, leaseMs: number): Promise<LeasedJob[]>;
  /** Which of the sweeper's steps have something to do, by one statement. @param graceMs as of `requeueAbandoned` */
  findSweeperWork(graceMs: number): Promise<SweeperWork>;
  /**
   * Requeues processing jobs whose lease has been expired for `graceMs` and whose server has had no owner for as long; cancels those
   * whose cancellation was requested. The attempt is not charged. Returns the changed jobs.
   */
  requeueAbandoned(graceMs: number): Promise<{ job: Job; event: JobEvent }[]>;
  /** Up to `limit` queued jobs whose `expiresAt` has passed → `timeout`. */
  expireQueued(limit: number): Promise<{ job: Job; event: JobEvent }[]>;
  /**
   * Passes on the ends of up to `limit` jobs, each to up to 500 jobs that depend on it: what the transactions that ended
   * them have not done. It waits for no row that another transaction holds: `locked` = ends of which such rows are all that
   * is left. `refused` = ends that could not be passed on now, while others were. `isDone` = nothing else is left.
   * @param except ended jobs that are left out
   */
  passOnEnds(
    limit: number,
    except?: string[],
  ): Promise<PassedOn & { refused: { jobId: string; error: unknown }[]; locked: string[]; isDone: boolean }>;
  /**
   * Those of these prompt ids that belong to ended attempts on this server, including attempts of jobs that were
   * removed meanwhile. No run waits for these prompts any more.
   */
  findEndedPrompts(serverId: string, promptIds: string[]): Promise<string[]>;
}
