import {
  type AttemptEnd,
  type AttemptResult,
  type Candidate,
  type Claim,
  type HeartbeatResult,
  type Job,
  type JobAttempt,
  type JobEvent,
  type JobLease,
  type JobRuns,
  type LeasedJob,
  type ProgressReport,
  type SweeperWork,
  type TicketReference,
} from "@genga/jobs";
import { withMappedErrors } from "../../connection/database-errors.ts";
import { type PlainStatements, type Statements } from "../../connection/plain-statements.ts";
import { type PrismaClient } from "../../generated/client.ts";
import { passOnEnds } from "../dependencies/pass-on-ends.ts";
import { listOwned } from "../../keeping/owned-files.ts";
import { findJob } from "../reading/find-jobs.ts";
import { listAttempts } from "../reading/list-attempts.ts";
import { adoptJobs, claimJobs } from "./claim-jobs.ts";
import { AttemptEnds, requeueAbandoned } from "./end-attempt.ts";
import { expireQueued } from "./expire-jobs.ts";
import { findSweeperWork } from "./find-sweeper-work.ts";
import { findEndedPrompts } from "./find-ended-prompts.ts";
import { recordProgress, releaseLeases, renewLeases } from "./hold-leases.ts";
import { readCandidates } from "./read-candidates.ts";
import { type RunningLimit } from "./running-limit.ts";

/**
 * Reads and writes running jobs in PostgreSQL. Each statement has a file of its own; errors of all of them are mapped
 * here.
 */
export class PrismaJobRuns implements JobRuns {
  readonly #database: PrismaClient;
  /** For what every job costs. */
  readonly #prepared: PlainStatements;
  /** For renewals of leases, which must not wait behind other statements. */
  readonly #renewals: Statements;
  readonly #limits: RunningLimit;
  readonly #ends: AttemptEnds;

  constructor(options: {
    database: PrismaClient;
    prepared: PlainStatements;
    renewals: Statements;
    limits: RunningLimit;
  }) {
    this.#database = options.database;
    this.#prepared = options.prepared;
    this.#ends = new AttemptEnds(options);
    this.#renewals = options.renewals;
    this.#limits = options.limits;
  }

  findJob(id: string): Promise<Job | "removed" | null> {
    return withMappedErrors(() => findJob(this.#database, id));
  }

  readCandidates(tickets: TicketReference[]): Promise<Candidate[]> {
    return withMappedErrors(() => readCandidates(this.#prepared, tickets, this.#limits));
  }

  claimJobs(claims: Claim[], leaseMs: number): Promise<LeasedJob[]> {
    return withMappedErrors(() => claimJobs(this.#prepared, claims, leaseMs, this.#limits));
  }

  listOwned(storageKeys: string[]): Promise<string[]> {
    return withMappedErrors(() => listOwned(this.#database, storageKeys));
  }

  listAttempts(jobId: string): Promise<JobAttempt[]> {
    return withMappedErrors(() => listAttempts(this.#database, jobId));
  }

  renewLeases(leases: JobLease[], leaseMs: number): Promise<HeartbeatResult> {
    return withMappedErrors(() => renewLeases(this.#renewals, leases, leaseMs));
  }

  recordProgress(reports: ProgressReport[]): Promise<JobEvent[]> {
    return withMappedErrors(() => recordProgress(this.#prepared, reports));
  }

  endAttempt(lease: JobLease, end: AttemptEnd, entry?: string): Promise<AttemptResult> {
    return withMappedErrors(() => this.#ends.end(lease, end, entry));
  }

  releaseLeases(leases: JobLease[]): Promise<void> {
    return withMappedErrors(() => releaseLeases(this.#database, leases));
  }

  adoptJobs(serverIds: string[], workerId: string, leaseMs: number): Promise<LeasedJob[]> {
    return withMappedErrors(() => adoptJobs(this.#database, serverIds, workerId, leaseMs));
  }

  findSweeperWork(graceMs: number): Promise<SweeperWork> {
    return withMappedErrors(() => findSweeperWork(this.#database, graceMs));
  }

  requeueAbandoned(graceMs: number): Promise<{ job: Job; event: JobEvent }[]> {
    return withMappedErrors(() => requeueAbandoned(this.#database, graceMs));
  }

  expireQueued(limit: number): Promise<{ job: Job; event: JobEvent }[]> {
    return withMappedErrors(() => expireQueued(this.#database, limit));
  }

  passOnEnds(limit: number, except: string[] = []): ReturnType<JobRuns["passOnEnds"]> {
    return withMappedErrors(() => passOnEnds(this.#database, limit, except));
  }

  findEndedPrompts(serverId: string, promptIds: string[]): Promise<string[]> {
    return withMappedErrors(() => findEndedPrompts(this.#database, serverId, promptIds));
  }
}
