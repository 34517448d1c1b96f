import { type Actor } from "./audit-store.ts";
import {
  type Batch,
  type Job,
  type JobAttempt,
  type JobEvent,
  type JobFailure,
  type JobParameters,
  type JobPhase,
  type JobPriority,
  type JobProgress,
  type JobStatus,
  type JobType,
  type Json,
  type NewBatch,
  type NewJob,
  type NewOutput,
  type JobOutput,
} from "../job/job.ts";
import { type JobPrompt } from "../job/job-prompt.ts";
import { type TerminalStatus } from "../job/job-states.ts";
import { type RemovedJob } from "./keeping-store.ts";
import { type NamedClass } from "./workflow-resolver.ts";

/** What fences a write: it takes effect only while the job is `processing` under exactly this attempt and lease number. */
export interface JobLease {
  jobId: string;
  attempt: number;
  leaseNumber: number;
}

/** Announces a queued row in BullMQ: `attempt` is the one that a claim would start. */
export interface TicketReference {
  jobId: string;
  attempt: number;
}

export interface Announcement extends TicketReference {
  type: JobType;
  lane: string;
  priority: JobPriority;
  rank: number;
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

/** Extra data, encrypted for one job. */
export type SealForJob = (jobId: string) => Uint8Array;

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

export interface JobFilter {
  tenantId?: string;
  statuses?: JobStatus[];
  types?: JobType[];
  batchId?: string;
  project?: string;
  tag?: string;
  /** Found anywhere in the prompt, ignoring case. */
  text?: string;
  limit: number;
  /** Opaque: from the page before. */
  cursor?: string;
}

export interface Page<Item> {
  items: Item[];
  nextCursor: string | null;
}

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

export interface QueueSummary {
  counts: Record<JobStatus, number>;
  /** Queued and processing jobs by lane. */
  lanes: { lane: string; queued: number; processing: number }[];
  /** When the longest waiting queued job was accepted. */
  oldestQueuedAt: Date | null;
}

/**
 * Where jobs live: the truth of the system.
 *
 * Every change of a job is one transaction that also appends its event and bumps the job's event sequence. Times and
 * lease expiries are the database's clock, never a caller's.
 * Every method throws `StoreUnavailableError` when the database cannot be reached.
 */
export interface JobStore {
  // ── accept and read ────────────────────────────────────────────────────────────────────────────────────────────
  /** Inserts all or nothing, each job `queued` with its `accepted` event and its rank; returns them in the given order. */
  insertJobs(submission: { tenantId: string; batch: NewBatch | null; jobs: NewJob[] }): Promise<Job[]>;
  findJob(id: string): Promise<Job | "removed" | null>;
  /** The tenant of a job that was removed; `null` = it was not. */
  ownerOfRemoved(id: string): Promise<string | null>;
  /** Those of the jobs that are there, in the given order; any number of them by one statement. */
  findJobs(ids: string[]): Promise<Job[]>;
  findParameters(id: string): Promise<JobParameters | null>;
  /** What is shown of the prompts of these jobs, by id; any number of them by one statement. */
  findPrompts(ids: string[]): Promise<Map<string, JobPrompt>>;
  listJobs(filter: JobFilter): Promise<Page<Job>>;
  findBatch(id: string): Promise<Batch | null>;
  listEvents(jobId: string, afterSequence: number, limit: number): Promise<JobEvent[]>;
  listOutputs(jobId: string): Promise<JobOutput[]>;
  /** Oldest first. */
  listAttempts(jobId: string): Promise<JobAttempt[]>;
  findOutput(id: string): Promise<JobOutput | null>;
  summarizeQueue(tenantId?: string): Promise<QueueSummary>;
  /** How many jobs the tenant has running, and how many it may have; `max: null` = any number. */
  findRunning(tenantId: string): Promise<{ running: number; max: number | null }>;
  /** How many queued jobs, of its tenant and of others, will be served before this one: same lane, lower band, or same band and lower rank. */
  countJobsBefore(job: Job): Promise<{ own: number; others: number }>;

  // ── requests ───────────────────────────────────────────────────────────────────────────────────────────────────
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

  /**
   * The node classes of the raw graphs that a retry of this job, or of this batch, would run: each class once, with one node
   * that has it.
   */
  listClassesToRetry(of: { jobId: string } | { batchId: string }): Promise<NamedClass[]>;
  /** Ends all queued jobs of the batch and notes the request on all processing ones. */
  cancelBatch(batchId: string, by?: string): Promise<BatchCancelResult>;
  /**
   * All failed and timed out jobs of the batch → `queued`; returns them.
   * @param seal for those that were submitted with extra data @throws ExtraDataNeededError
   */
  retryBatch(batchId: string, seal?: SealForJob, by?: string): Promise<Job[]>;

  // ── announce ───────────────────────────────────────────────────────────────────────────────────────────────────
  /** Sets `enqueuedAt` where the row is still queued with that attempt to come. */
  markEnqueued(tickets: TicketReference[]): Promise<void>;
  /**
   * Queued rows that are due (`runAt`) and have no `enqueuedAt`, oldest rank first. Of a tenant whose running jobs are
   * limited only as many as it has places for.
   */
  listUnannounced(limit: number): Promise<Announcement[]>;
  /** Queued rows with an `enqueuedAt`, in id order after `afterJobId`: to be audited against Redis. */
  listAnnounced(afterJobId: string | null, limit: number): Promise<Announcement[]>;
  /**
   * Clears `enqueuedAt` of all queued rows of those of the tenants that have as many jobs running as they may: their
   * tickets are of no use for now, and stand before those of others. Returns these tickets, 10,000 at most.
   */
  holdBack(tenantIds: string[]): Promise<(TicketReference & { lane: string })[]>;
  /** Redis was wiped: clears `enqueuedAt` of all queued rows in one statement; returns how many. */
  clearEnqueued(): Promise<number>;

  // ── run (all fenced) ───────────────────────────────────────────────────────────────────────────────────────────
  /** Which of these tickets name a row that is queued, due, and at that attempt; with its graph. */
  readCandidates(tickets: TicketReference[]): Promise<Candidate[]>;
  /** Set-based `queued → processing`, within the tenants' limits; only those that were won come back. */
  claimJobs(claims: Claim[], leaseMs: number): Promise<LeasedJob[]>;
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
  /** Ranks of a priority band in which nothing is queued begin at 0 again, once they have grown large. For the sweeper. */
  rebaseRanks(): Promise<void>;

  close(): Promise<void>;
}
