import {
  type Batch,
  type ChainJob,
  type Job,
  type JobAttempt,
  type JobDependency,
  type JobEvent,
  type JobLabels,
  type JobOutput,
  type NewJobInput,
  type StoredParameters,
  type JobStatus,
  type JobType,
} from "../job/job.ts";
import { type JobPrompt } from "../job/job-prompt.ts";
import { type JobMark } from "./job-marks.ts";
import { type NamedClass } from "./workflow-resolver.ts";

export interface JobFilter {
  statuses?: JobStatus[];
  types?: JobType[];
  batchId?: string;
  project?: string;
  scene?: string;
  shot?: string;
  tag?: string;
  /** The name of the template that they were made of. */
  template?: string;
  templateVersion?: number;
  /** A text to be found anywhere in the prompt, ignoring case. */
  text?: string;
  /** `none` = neither picked nor rejected. */
  mark?: JobMark | "none";
  limit: number;
  /** The opaque `nextCursor` of the previous page. */
  cursor?: string;
}

/** Batches whose request named these labels for all of its jobs. */
export type BatchFilter = Pick<JobFilter, "project" | "scene" | "shot" | "tag" | "limit" | "cursor">;

/** Jobs whose outputs are wanted; only completed jobs have any. */
export type OutputFilter = Omit<JobFilter, "text" | "limit" | "cursor">;

/** Which output of a job. */
export interface OutputPlace {
  jobId: string;
  index: number;
}

/** The outputs of a job, and all that is needed to make them again. */
export interface MadeJob extends JobLabels {
  id: string;
  type: JobType;
  batchId: string | null;
  batchName: string | null;
  batchIndex: number | null;
  /** The job that this one was answered from. What follows of the attempt is then of the job that made the outputs. */
  reusedFrom: string | null;
  /** The attempt that made them; `null` = its job was removed. */
  attempt: number | null;
  serverId: string | null;
  /** The server's version at that time; `null` = not known. */
  serverVersion: string | null;
  /** The SHA-256 of the graph, which equal graphs share. */
  workflowHash: string;
  /** The graph as JSON text, with stand-ins for the outputs of other jobs. */
  workflow: string;
  /** The parameters as JSON text; of a raw graph without the graph. */
  parameters: string;
  /** Its prompt, or the texts of its graph. */
  promptText: string;
  inputs: readonly (Pick<NewJobInput, "name" | "from" | "output"> & { sha256: string | null })[];
  createdAt: Date;
  finishedAt: Date | null;
  outputs: Omit<JobOutput, "text">[];
}

export interface Page<Item> {
  items: Item[];
  nextCursor: string | null;
}

export interface QueueSummary {
  counts: Record<JobStatus, number>;
  /** Queued and processing jobs by lane. */
  lanes: { lane: string; queued: number; processing: number }[];
  /** When the queued job that has waited longest was accepted. */
  oldestQueuedAt: Date | null;
}

/** What views show of a job beside its row. */
export interface ShownJob extends JobPrompt {
  /** The main model that its server must load; `null` = none, or it is not known. */
  model: string | null;
  /** It has completed with a picture. */
  hasPicture: boolean;
  mark: JobMark | null;
}

/** How many jobs ended, and how, in a span of time that begins then. */
export interface EndCounts {
  at: Date;
  completed: number;
  failed: number;
  timeout: number;
  cancelled: number;
}

/** A tenant with queued jobs. */
export interface WaitingTenant {
  /** The tenant's name. */
  tenant: string;
  queued: number;
  processing: number;
}

/** Counts of jobs; counting stops at 1,000. */
export interface JobsBefore {
  own: number;
  others: number;
  /** There may be more than were counted: of the tenant's own jobs, and of all together. */
  isMore: { own: boolean; all: boolean };
}

/**
 * Reads jobs; it cannot write.
 *
 * Jobs are read through their tenant, so that no caller can forget to check the tenant. Every method throws
 * `StoreUnavailableError` when the database cannot be reached.
 */
export interface JobReader {
  /** The jobs of one tenant. */
  of(tenantId: string): TenantJobReader;
  /** The counts of the jobs of all tenants together. */
  summarizeQueue(): Promise<QueueSummary>;
  /** As that of a tenant, of all tenants together. */
  countEnds(since: Date, stepMs: number): Promise<EndCounts[]>;
  /** Up to `limit` tenants that have queued jobs, those with the most first. */
  listWaitingTenants(limit: number): Promise<WaitingTenant[]>;
}

/** Reads the jobs of one tenant. Jobs of other tenants are not found, and neither is an id that is not a UUID. */
export interface TenantJobReader {
  /** `"removed"` = the job belonged to the tenant and was removed. */
  findJob(id: string): Promise<Job | "removed" | null>;
  /** Those of the jobs that exist, in the given order; one statement for any number of them. */
  findJobs(ids: string[]): Promise<Job[]>;
  findParameters(jobId: string): Promise<StoredParameters | null>;
  /** The classes of the nodes of a job's graph, by the id of the node, of at most so many nodes. */
  findNodeClasses(jobId: string, nodesMax: number): Promise<Map<string, string>>;
  /** The prompts to show of these jobs, by id; one statement for any number of them. */
  findPrompts(jobIds: string[]): Promise<Map<string, JobPrompt>>;
  /**
   * What views show of these jobs beside their rows, by id; one statement for any number of them.
   * @param pictureTypes the media types of outputs that count as pictures
   */
  findShown(jobIds: string[], pictureTypes: readonly string[]): Promise<Map<string, ShownJob>>;
  /**
   * Newest first.
   * @throws InvalidJobError for a cursor that came from no page, and for a text whose search takes too long
   */
  listJobs(filter: JobFilter): Promise<Page<Job>>;
  findBatch(id: string): Promise<Batch | null>;
  /** Whether the batch belonged to the tenant and was removed with its last job. */
  isBatchRemoved(id: string): Promise<boolean>;
  /** Newest first. What it costs does not grow with the number of jobs in the batches. */
  listBatches(filter: BatchFilter): Promise<Page<Batch>>;
  /** The first failed and timed out jobs of a batch, in the order of their submission. */
  listFirstFailed(batchId: string, limit: number): Promise<Job[]>;
  /** All jobs of a batch that are not removed, in the order of their submission. */
  listBatchJobs(batchId: string): Promise<Job[]>;
  listEvents(jobId: string, afterSequence: number, limit: number): Promise<JobEvent[]>;
  listOutputs(jobId: string): Promise<JobOutput[]>;
  findOutput(id: string): Promise<JobOutput | null>;
  /** Those of these outputs that there are, in any order. An id that is not a UUID is not found. */
  findOutputs(ids: readonly string[]): Promise<JobOutput[]>;
  /** Those of these outputs that are files, by job and index; one statement for any number of them. */
  findFilesAt(places: readonly OutputPlace[]): Promise<(OutputPlace & { id: string })[]>;
  /** How many outputs the jobs have; counting stops beyond `max`. */
  countOutputs(filter: OutputFilter, max: number): Promise<number>;
  /**
   * The jobs that have outputs, oldest first, those of one batch in its order. They are read little by little as they are
   * wanted, so that memory does not grow with their number.
   */
  readMadeJobs(filter: OutputFilter): AsyncIterable<MadeJob>;
  /** The jobs that must complete before this one, in the order of their ids. */
  listDependencies(jobId: string): Promise<JobDependency[]>;
  /**
   * The jobs that this job, or the jobs of this batch, wait for, directly or not, and those that wait for them; at most
   * `limit`, first those that were asked for, and otherwise the nearest first. Of a batch without those that have no dependencies.
   */
  listChain(of: { jobId: string } | { batchId: string }, limit: number): Promise<ChainJob[]>;
  /** Oldest first. */
  listAttempts(jobId: string): Promise<JobAttempt[]>;
  /**
   * The node classes that a retry of this job or batch would run, for raw graphs only: each class once, with one node
   * of it.
   */
  listClassesToRetry(of: { jobId: string } | { batchId: string }): Promise<NamedClass[]>;
  summarizeQueue(): Promise<QueueSummary>;
  /**
   * How many jobs ended since then, in steps from there on; those in which none ended are left out. Removed jobs are counted,
   * too. Ends of more than two days ago are not known any more.
   */
  countEnds(since: Date, stepMs: number): Promise<EndCounts[]>;
  /** How many jobs of the tenant are running, and how many may be; `max: null` = no limit. */
  findRunning(): Promise<{ running: number; max: number | null }>;
  /**
   * How many jobs of this tenant, and of others, come before this one and could begin now: same lane, and a more urgent
   * priority, or the same priority and a lower rank.
   */
  countJobsBefore(job: Job): Promise<JobsBefore>;
}
