import {
  type Batch,
  type BatchFilter,
  type Job,
  type JobsBefore,
  type JobAttempt,
  type ChainJob,
  type JobDependency,
  type JobEvent,
  type JobFilter,
  type JobOutput,
  type MadeJob,
  type OutputFilter,
  type OutputPlace,
  type StoredParameters,
  type JobPrompt,
  type JobReader,
  type NamedClass,
  type Page,
  type EndCounts,
  type QueueSummary,
  type ShownJob,
  type WaitingTenant,
  type TenantJobReader,
} from "@genga/jobs";
import { NIL as noTenantId, validate as isUuid } from "uuid";
import { withMappedErrors } from "../../connection/database-errors.ts";
import { type PrismaClient } from "../../generated/client.ts";
import { findRunning, type RunningLimit } from "../running/running-limit.ts";
import { findBatch, isBatchRemoved, listBatches, listFirstFailed } from "./find-batches.ts";
import { listWaitingTenants } from "./waiting-tenants.ts";
import { countJobsBefore } from "./jobs-before.ts";
import { countEnds } from "../../keeping/count-ends.ts";
import { summarizeQueue } from "./count-jobs.ts";
import {
  findJob,
  findJobs,
  findNodeClasses,
  findParameters,
  findPrompts,
  findShown,
  listBatchJobs,
} from "./find-jobs.ts";
import { findFilesAt, findOutput, findOutputs, listOutputs } from "./find-outputs.ts";
import { countOutputs, readMadeJobs } from "./read-made-jobs.ts";
import { listAttempts } from "./list-attempts.ts";
import { listChain } from "./list-chain.ts";
import { listDependencies } from "./list-dependencies.ts";
import { listClassesToRetry } from "./list-classes-to-retry.ts";
import { listEvents } from "./list-events.ts";
import { listJobs } from "./list-jobs.ts";
import { SearchTurns } from "./search-turns.ts";

interface ReaderOptions {
  database: PrismaClient;
  limits: RunningLimit;
}

/** Reads jobs from PostgreSQL. Each statement has a file of its own; errors of all of them are mapped here. */
export class PrismaJobReader implements JobReader {
  readonly #options: ReaderOptions;
  readonly #searches = new SearchTurns();

  constructor(options: ReaderOptions) {
    this.#options = options;
  }

  of(tenantId: string): TenantJobReader {
    // A tenant id that is not a UUID belongs to no tenant.
    const ofTenant = isUuid(tenantId) ? tenantId : noTenantId;
    return new PrismaTenantJobReader(ofTenant, { ...this.#options, searches: this.#searches });
  }

  summarizeQueue(): Promise<QueueSummary> {
    return withMappedErrors(() => summarizeQueue(this.#options.database));
  }

  countEnds(since: Date, stepMs: number): Promise<EndCounts[]> {
    return withMappedErrors(() => countEnds(this.#options.database, since, stepMs));
  }

  listWaitingTenants(limit: number): Promise<WaitingTenant[]> {
    return withMappedErrors(() => listWaitingTenants(this.#options.database, limit));
  }
}

class PrismaTenantJobReader implements TenantJobReader {
  readonly #tenantId: string;
  readonly #database: PrismaClient;
  readonly #limits: RunningLimit;
  readonly #searches: SearchTurns;

  constructor(tenantId: string, options: ReaderOptions & { searches: SearchTurns }) {
    this.#tenantId = tenantId;
    this.#database = options.database;
    this.#limits = options.limits;
    this.#searches = options.searches;
  }

  findJob(id: string): Promise<Job | "removed" | null> {
    return withMappedErrors(() => findJob(this.#database, id, { tenantId: this.#tenantId }));
  }

  findJobs(ids: string[]): Promise<Job[]> {
    return withMappedErrors(() => findJobs(this.#database, this.#tenantId, ids));
  }

  findParameters(jobId: string): Promise<StoredParameters | null> {
    return withMappedErrors(() => findParameters(this.#database, this.#tenantId, jobId));
  }

  findNodeClasses(jobId: string, nodesMax: number): Promise<Map<string, string>> {
    return withMappedErrors(() => findNodeClasses(this.#database, this.#tenantId, jobId, nodesMax));
  }

  findPrompts(jobIds: string[]): Promise<Map<string, JobPrompt>> {
    return withMappedErrors(() => findPrompts(this.#database, this.#tenantId, jobIds));
  }

  findShown(jobIds: string[], pictureTypes: readonly string[]): Promise<Map<string, ShownJob>> {
    return withMappedErrors(() => findShown(this.#database, this.#tenantId, jobIds, pictureTypes));
  }

  listJobs(filter: JobFilter): Promise<Page<Job>> {
    const list = (): Promise<Page<Job>> =>
      withMappedErrors(() => listJobs(this.#database, this.#tenantId, filter));
    return filter.text === undefined ? list() : this.#searches.take(this.#tenantId, list);
  }

  findBatch(id: string): Promise<Batch | null> {
    return withMappedErrors(() => findBatch(this.#database, this.#tenantId, id));
  }

  isBatchRemoved(id: string): Promise<boolean> {
    return withMappedErrors(() => isBatchRemoved(this.#database, this.#tenantId, id));
  }

  listBatches(filter: BatchFilter): Promise<Page<Batch>> {
    return withMappedErrors(() => listBatches(this.#database, this.#tenantId, filter));
  }

  listFirstFailed(batchId: string, limit: number): Promise<Job[]> {
    return withMappedErrors(() => listFirstFailed(this.#database, this.#tenantId, batchId, limit));
  }

  listBatchJobs(batchId: string): Promise<Job[]> {
    return withMappedErrors(() => listBatchJobs(this.#database, this.#tenantId, batchId));
  }

  listEvents(jobId: string, afterSequence: number, limit: number): Promise<JobEvent[]> {
    const after = { sequence: afterSequence, limit };
    return withMappedErrors(() => listEvents(this.#database, this.#tenantId, jobId, after));
  }

  listOutputs(jobId: string): Promise<JobOutput[]> {
    return withMappedErrors(() => listOutputs(this.#database, this.#tenantId, jobId));
  }

  findOutputs(ids: readonly string[]): Promise<JobOutput[]> {
    return withMappedErrors(() => findOutputs(this.#database, this.#tenantId, ids));
  }

  findFilesAt(places: readonly OutputPlace[]): Promise<(OutputPlace & { id: string })[]> {
    return withMappedErrors(() => findFilesAt(this.#database, this.#tenantId, places));
  }

  findOutput(id: string): Promise<JobOutput | null> {
    return withMappedErrors(() => findOutput(this.#database, this.#tenantId, id));
  }

  countOutputs(filter: OutputFilter, max: number): Promise<number> {
    return withMappedErrors(() => countOutputs(this.#database, this.#tenantId, filter, max));
  }

  readMadeJobs(filter: OutputFilter): AsyncIterable<MadeJob> {
    return readMadeJobs(this.#database, this.#tenantId, filter);
  }

  listDependencies(jobId: string): Promise<JobDependency[]> {
    return withMappedErrors(() => listDependencies(this.#database, this.#tenantId, jobId));
  }

  listChain(of: { jobId: string } | { batchId: string }, limit: number): Promise<ChainJob[]> {
    return withMappedErrors(() => listChain(this.#database, this.#tenantId, of, limit));
  }

  listAttempts(jobId: string): Promise<JobAttempt[]> {
    return withMappedErrors(() => listAttempts(this.#database, jobId, { tenantId: this.#tenantId }));
  }

  listClassesToRetry(of: { jobId: string } | { batchId: string }): Promise<NamedClass[]> {
    return withMappedErrors(() => listClassesToRetry(this.#database, this.#tenantId, of));
  }

  summarizeQueue(): Promise<QueueSummary> {
    return withMappedErrors(() => summarizeQueue(this.#database, this.#tenantId));
  }

  countEnds(since: Date, stepMs: number): Promise<EndCounts[]> {
    return withMappedErrors(() => countEnds(this.#database, since, stepMs, this.#tenantId));
  }

  findRunning(): Promise<{ running: number; max: number | null }> {
    return withMappedErrors(() => findRunning(this.#database, this.#tenantId, this.#limits));
  }

  countJobsBefore(job: Job): Promise<JobsBefore> {
    return withMappedErrors(() => countJobsBefore(this.#database, this.#tenantId, job));
  }
}
