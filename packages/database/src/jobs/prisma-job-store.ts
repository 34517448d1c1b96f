import {
  type Actor,
  type Announcement,
  type AttemptEnd,
  type AttemptResult,
  type Batch,
  type BatchCancelResult,
  type CancelResult,
  type Candidate,
  type Claim,
  type HeartbeatResult,
  type Job,
  type JobAttempt,
  type JobEvent,
  type JobFilter,
  type JobLease,
  type JobOutput,
  type JobParameters,
  type JobPrompt,
  type JobStore,
  type LeasedJob,
  type NewBatch,
  type NewJob,
  type Page,
  type ProgressReport,
  type QueueSummary,
  type NamedClass,
  type RemovedJob,
  type SealForJob,
  type TicketReference,
} from "@genga/jobs";
import { insertJobs } from "./accepting/accept-jobs.ts";
import { findEndedPrompts, listAttempts } from "./running/attempts.ts";
import { cancelBatch, retryBatch } from "./requests/batch-requests.ts";
import { listClassesToRetry } from "./requests/classes-to-retry.ts";
import { expireQueued } from "./requests/expire-jobs.ts";
import {
  clearEnqueued,
  holdBack,
  listAnnounced,
  listUnannounced,
  markEnqueued,
  readCandidates,
} from "./running/announcements.ts";
import { adoptJobs, claimJobs } from "./running/claim-jobs.ts";
import { withMappedErrors } from "../connection/database-errors.ts";
import { endAttempt, requeueAbandoned } from "./running/end-attempt.ts";
import { type PrismaClient } from "../generated/client.ts";
import { recordProgress, releaseLeases, renewLeases } from "./running/hold-leases.ts";
import { requestCancel, retryJob } from "./requests/job-requests.ts";
import { removeJob } from "../keeping/remove-jobs.ts";
import { type QueueLimit } from "./accepting/queue-room.ts";
import { rebaseRanks } from "./accepting/rank-reservation.ts";
import { findRunning, type RunningLimit } from "./running/running-limit.ts";
import { SearchTurns } from "./reading/search-turns.ts";
import {
  countJobsBefore,
  ownerOfRemoved,
  findBatch,
  findJob,
  findJobs,
  findOutput,
  findParameters,
  findPrompts,
  listEvents,
  listJobs,
  listOutputs,
  summarizeQueue,
} from "./reading/read-jobs.ts";

/** What tenants may have unless `tenant_limits` says otherwise; `null` = any number. */
export type JobLimits = QueueLimit & RunningLimit;

/** The jobs of PostgreSQL. Each method is told by the file that does it; errors are mapped here, for all of them. */
export class PrismaJobStore implements JobStore {
  readonly #database: PrismaClient;
  /** What must not wait behind other statements. */
  readonly #renewals: PrismaClient;
  readonly #limits: JobLimits;
  readonly #searches = new SearchTurns();
  readonly #close: () => Promise<void>;

  constructor(options: {
    database: PrismaClient;
    renewals: PrismaClient;
    limits: JobLimits;
    close: () => Promise<void>;
  }) {
    this.#limits = options.limits;
    this.#database = options.database;
    this.#renewals = options.renewals;
    this.#close = options.close;
  }

  insertJobs(submission: { tenantId: string; batch: NewBatch | null; jobs: NewJob[] }): Promise<Job[]> {
    return withMappedErrors(() => insertJobs(this.#database, submission, this.#limits));
  }

  findJob(id: string): Promise<Job | "removed" | null> {
    return withMappedErrors(() => findJob(this.#database, id));
  }

  ownerOfRemoved(id: string): Promise<string | null> {
    return withMappedErrors(() => ownerOfRemoved(this.#database, id));
  }

  findJobs(ids: string[]): Promise<Job[]> {
    return withMappedErrors(() => findJobs(this.#database, ids));
  }

  findParameters(id: string): Promise<JobParameters | null> {
    return withMappedErrors(() => findParameters(this.#database, id));
  }

  findPrompts(ids: string[]): Promise<Map<string, JobPrompt>> {
    return withMappedErrors(() => findPrompts(this.#database, ids));
  }

  listJobs(filter: JobFilter): Promise<Page<Job>> {
    const list = (): Promise<Page<Job>> => withMappedErrors(() => listJobs(this.#database, filter));
    return filter.text === undefined ? list() : this.#searches.take(filter.tenantId ?? "", list);
  }

  findBatch(id: string): Promise<Batch | null> {
    return withMappedErrors(() => findBatch(this.#database, id));
  }

  listEvents(jobId: string, afterSequence: number, limit: number): Promise<JobEvent[]> {
    return withMappedErrors(() => listEvents(this.#database, jobId, afterSequence, limit));
  }

  listOutputs(jobId: string): Promise<JobOutput[]> {
    return withMappedErrors(() => listOutputs(this.#database, jobId));
  }

  findOutput(id: string): Promise<JobOutput | null> {
    return withMappedErrors(() => findOutput(this.#database, id));
  }

  summarizeQueue(tenantId?: string): Promise<QueueSummary> {
    return withMappedErrors(() => summarizeQueue(this.#database, tenantId));
  }

  findRunning(tenantId: string): Promise<{ running: number; max: number | null }> {
    return withMappedErrors(() => findRunning(this.#database, tenantId, this.#limits));
  }

  countJobsBefore(job: Job): Promise<{ own: number; others: number }> {
    return withMappedErrors(() => countJobsBefore(this.#database, job));
  }

  requestCancel(id: string, by?: string): Promise<CancelResult | "removed" | null> {
    return withMappedErrors(() => requestCancel(this.#database, id, by));
  }

  retryJob(id: string, seal?: SealForJob, by?: string): Promise<Job | "removed" | null> {
    return withMappedErrors(() => retryJob(this.#database, id, this.#limits, seal, by));
  }

  removeJob(id: string, by?: Actor): Promise<RemovedJob | "removed" | null> {
    return withMappedErrors(() => removeJob(this.#database, id, by));
  }

  markEnqueued(tickets: TicketReference[]): Promise<void> {
    return withMappedErrors(() => markEnqueued(this.#database, tickets));
  }

  listUnannounced(limit: number): Promise<Announcement[]> {
    return withMappedErrors(() => listUnannounced(this.#database, limit, this.#limits));
  }

  listAnnounced(afterJobId: string | null, limit: number): Promise<Announcement[]> {
    return withMappedErrors(() => listAnnounced(this.#database, afterJobId, limit));
  }

  holdBack(tenantIds: string[]): Promise<(TicketReference & { lane: string })[]> {
    return withMappedErrors(() => holdBack(this.#database, tenantIds, this.#limits));
  }

  clearEnqueued(): Promise<number> {
    return withMappedErrors(() => clearEnqueued(this.#database));
  }

  readCandidates(tickets: TicketReference[]): Promise<Candidate[]> {
    return withMappedErrors(() => readCandidates(this.#database, tickets, this.#limits));
  }

  claimJobs(claims: Claim[], leaseMs: number): Promise<LeasedJob[]> {
    return withMappedErrors(() => claimJobs(this.#database, claims, leaseMs, this.#limits));
  }

  renewLeases(leases: JobLease[], leaseMs: number): Promise<HeartbeatResult> {
    return withMappedErrors(() => renewLeases(this.#renewals, leases, leaseMs));
  }

  recordProgress(reports: ProgressReport[]): Promise<JobEvent[]> {
    return withMappedErrors(() => recordProgress(this.#database, reports));
  }

  endAttempt(lease: JobLease, end: AttemptEnd): Promise<AttemptResult> {
    return withMappedErrors(() => endAttempt(this.#database, lease, end));
  }

  releaseLeases(leases: JobLease[]): Promise<void> {
    return withMappedErrors(() => releaseLeases(this.#database, leases));
  }

  adoptJobs(serverIds: string[], workerId: string, leaseMs: number): Promise<LeasedJob[]> {
    return withMappedErrors(() => adoptJobs(this.#database, serverIds, workerId, leaseMs));
  }

  requeueAbandoned(graceMs: number): Promise<{ job: Job; event: JobEvent }[]> {
    return withMappedErrors(() => requeueAbandoned(this.#database, graceMs));
  }

  rebaseRanks(): Promise<void> {
    return withMappedErrors(() => rebaseRanks(this.#database));
  }

  listAttempts(jobId: string): Promise<JobAttempt[]> {
    return withMappedErrors(() => listAttempts(this.#database, jobId));
  }

  listClassesToRetry(of: { jobId: string } | { batchId: string }): Promise<NamedClass[]> {
    return withMappedErrors(() => listClassesToRetry(this.#database, of));
  }

  cancelBatch(batchId: string, by?: string): Promise<BatchCancelResult> {
    return withMappedErrors(() => cancelBatch(this.#database, batchId, by));
  }

  retryBatch(batchId: string, seal?: SealForJob, by?: string): Promise<Job[]> {
    return withMappedErrors(() => retryBatch(this.#database, batchId, this.#limits, seal, by));
  }

  expireQueued(limit: number): Promise<{ job: Job; event: JobEvent }[]> {
    return withMappedErrors(() => expireQueued(this.#database, limit));
  }

  findEndedPrompts(serverId: string, promptIds: string[]): Promise<string[]> {
    return withMappedErrors(() => findEndedPrompts(this.#database, serverId, promptIds));
  }

  close(): Promise<void> {
    return this.#close();
  }
}
