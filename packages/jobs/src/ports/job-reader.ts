import {
  type Batch,
  type Job,
  type JobAttempt,
  type JobEvent,
  type JobOutput,
  type JobParameters,
  type JobStatus,
  type JobType,
} from "../job/job.ts";
import { type JobPrompt } from "../job/job-prompt.ts";
import { type NamedClass } from "./workflow-resolver.ts";

export interface JobFilter {
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

export interface QueueSummary {
  counts: Record<JobStatus, number>;
  /** Queued and processing jobs by lane. */
  lanes: { lane: string; queued: number; processing: number }[];
  /** When the longest waiting queued job was accepted. */
  oldestQueuedAt: Date | null;
}

/**
 * Reads what was accepted and what became of it, and cannot write.
 *
 * Jobs are read through their tenant, so that no caller can forget whose they must be. Every method throws
 * `StoreUnavailableError` when the database cannot be reached.
 */
export interface JobReader {
  /** The jobs of one tenant. */
  of(tenantId: string): TenantJobReader;
  /** The queue of all tenants together. */
  summarizeQueue(): Promise<QueueSummary>;
}

/**
 * The jobs of one tenant: whatever belongs to another tenant is not there. An id that is no UUID names nothing.
 */
export interface TenantJobReader {
  /** `"removed"` = it was the tenant's, and was removed. */
  findJob(id: string): Promise<Job | "removed" | null>;
  /** Those of the jobs that are there, in the given order; any number of them by one statement. */
  findJobs(ids: string[]): Promise<Job[]>;
  findParameters(jobId: string): Promise<JobParameters | null>;
  /** What is shown of the prompts of these jobs, by id; any number of them by one statement. */
  findPrompts(jobIds: string[]): Promise<Map<string, JobPrompt>>;
  /**
   * Newest first.
   * @throws InvalidJobError for a cursor that no page was answered with, and for a text that takes too long to be found
   */
  listJobs(filter: JobFilter): Promise<Page<Job>>;
  findBatch(id: string): Promise<Batch | null>;
  listEvents(jobId: string, afterSequence: number, limit: number): Promise<JobEvent[]>;
  listOutputs(jobId: string): Promise<JobOutput[]>;
  findOutput(id: string): Promise<JobOutput | null>;
  /** Oldest first. */
  listAttempts(jobId: string): Promise<JobAttempt[]>;
  /**
   * The node classes of the raw graphs that a retry of this job, or of this batch, would run: each class once, with one node
   * that has it.
   */
  listClassesToRetry(of: { jobId: string } | { batchId: string }): Promise<NamedClass[]>;
  summarizeQueue(): Promise<QueueSummary>;
  /** How many jobs the tenant has running, and how many it may have; `max: null` = any number. */
  findRunning(): Promise<{ running: number; max: number | null }>;
  /** How many queued jobs, of this tenant and of others, will be served before this one: same lane, lower band, or same band and lower rank. */
  countJobsBefore(job: Job): Promise<{ own: number; others: number }>;
}
