/** The nouns of Genga: what a job is, and the values it may take. The words are ARCHITECTURE.md's glossary. */

export const jobTypes = ["image", "video", "workflow"] as const;
export type JobType = (typeof jobTypes)[number];

export const jobStatuses = ["queued", "processing", "completed", "failed", "timeout", "cancelled"] as const;
export type JobStatus = (typeof jobStatuses)[number];

/** What a person sees of a job that has not ended: refines `queued` and `processing`. */
export const jobPhases = ["waiting", "submitted", "executing", "saving"] as const;
export type JobPhase = (typeof jobPhases)[number];

/** From first served to last; the index is the ticket's priority band. */
export const jobPriorities = ["urgent", "high", "normal", "low"] as const;
export type JobPriority = (typeof jobPriorities)[number];

/** A JSON value. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** How far an attempt has come. `percent` is 0–100 and never falls within an attempt. */
export interface JobProgress {
  percent: number;
  node: string | null;
  nodeTitle: string | null;
  step: number | null;
  steps: number | null;
  nodesDone: number | null;
  nodesTotal: number | null;
}

/** Decides what happens after a failure; see `retry-rule.ts`. */
export const failureClasses = ["invalid", "execution", "out_of_memory", "server", "deadline"] as const;
export type FailureClass = (typeof failureClasses)[number];

/** Why an attempt or a job failed, in words that a user can act on. */
export interface JobFailure {
  class: FailureClass;
  /** Stable, kebab-case: `node-failed`, `server-lost`, `output-empty`, … */
  code: string;
  message: string;
  nodeId?: string;
  nodeType?: string;
  /** All that a node's exception said, of which `message` holds the line that tells; a few thousand characters at most. */
  exceptionMessage?: string;
  /** The innermost lines of a node's traceback, at most a few; never the node's inputs. */
  traceback?: string[];
}

/** The narrow row of a job, as every reader sees it. */
export interface Job {
  id: string;
  tenantId: string;
  batchId: string | null;
  /** Place in its batch, from 0. */
  batchIndex: number | null;
  type: JobType;
  status: JobStatus;
  /** `null` once the job has ended. */
  phase: JobPhase | null;
  priority: JobPriority;
  lane: string;
  /** Place in its tenant's queue within the priority band; see `ticket-queue.ts`. */
  rank: number;
  project: string | null;
  tags: string[];
  /** Number of the latest attempt; 0 before the first. */
  attempt: number;
  /** Attempts that counted against `attemptsMax`; a lost server is not charged. */
  attemptsCharged: number;
  attemptsMax: number;
  /** Attempts that ran out of memory. */
  outOfMemoryCount: number;
  /** Attempts that were executing when their server crashed. */
  crashCount: number;
  /** Raised by every claim, adoption and take-over. */
  leaseNumber: number;
  serverId: string | null;
  promptId: string | null;
  progress: JobProgress;
  failure: JobFailure | null;
  /** What somebody should know although it completed: a node was blocked, and its output is missing. */
  warnings: string[];
  timeoutMs: number;
  /** Sequence of the latest event; starts at 1 with `accepted`. */
  eventSequence: number;
  cancelRequestedAt: Date | null;
  /** A cancel request came, but the job had already succeeded on its server. */
  cancelTooLate: boolean;
  /** Not before this moment may a queued job be announced again (backoff). */
  runAt: Date | null;
  enqueuedAt: Date | null;
  /** It times out when it has not begun to execute by then. */
  expiresAt: Date | null;
  createdAt: Date;
  /** First time that a server executed it. */
  startedAt: Date | null;
  finishedAt: Date | null;
}

/** What a client asked for, kept apart from the narrow row. */
export interface JobParameters {
  /** As given, with defaults and the drawn seed filled in. Integers beyond 2^53−1 are text. */
  parameters: Json;
  /** The ComfyUI graph as JSON text, which keeps numbers as they were written: seeds beyond 2^53, `1.0` as no integer. */
  workflow: string;
}

/** A job about to be inserted. */
export interface NewJob extends JobParameters {
  id: string;
  type: JobType;
  priority: JobPriority;
  lane: string;
  batchIndex: number | null;
  project: string | null;
  tags: string[];
  attemptsMax: number;
  timeoutMs: number;
  expiresAt: Date | null;
  /** As `promptTextOf` makes it. */
  promptText: string;
  /** The uploads that its graph names. */
  uploadIds: string[];
  /** What goes to the server beside the graph and is no secret, as JSON text, where the parameters show other numbers. */
  extraDataText?: string;
  /** Encrypted: what else goes there. Kept until the job ends. */
  sealedExtraData?: Uint8Array;
}

export interface NewBatch {
  id: string;
  name: string | null;
}

export interface Batch {
  id: string;
  tenantId: string;
  name: string | null;
  createdAt: Date;
  total: number;
  counts: Record<JobStatus, number>;
}

/** One file or text that a node produced, stored under our control. */
export interface JobOutput {
  id: string;
  jobId: string;
  attempt: number;
  nodeId: string;
  /** The key under which the node listed it: `images`, `gifs`, `text`, … */
  key: string;
  /** Place among all outputs of the job, from 0. */
  index: number;
  kind: "file" | "text";
  /** The server's own file name; `null` for a text. */
  filename: string | null;
  mediaType: string;
  bytes: number;
  sha256: string;
  width: number | null;
  height: number | null;
  durationMs: number | null;
  /** Where `OutputStorage` keeps it; `null` for a text. */
  storageKey: string | null;
  text: string | null;
  createdAt: Date;
}

export type NewOutput = Omit<JobOutput, "id" | "jobId" | "attempt" | "createdAt">;

export const jobEventTypes = [
  "accepted",
  "claimed",
  "submitted",
  "executing",
  "saving",
  "adopted",
  "requeued",
  "cancel_requested",
  "retry_requested",
  "completed",
  "failed",
  "timeout",
  "cancelled",
] as const;
export type JobEventType = (typeof jobEventTypes)[number];

/** One execution of a job, as its record tells. */
export interface JobAttempt {
  number: number;
  promptId: string;
  serverId: string;
  serverUrl: string;
  /** The worker that claimed it; adoptions are events. */
  workerId: string;
  claimedAt: Date;
  executionStartedAt: Date | null;
  finishedAt: Date | null;
  outcome: AttemptOutcome | null;
  failure: JobFailure | null;
}

export const attemptOutcomes = ["completed", "failed", "timeout", "cancelled", "requeued"] as const;
export type AttemptOutcome = (typeof attemptOutcomes)[number];

/** One line of a job's history; sequences have no gaps within a job. */
export interface JobEvent {
  jobId: string;
  sequence: number;
  type: JobEventType;
  attempt: number;
  data: Record<string, Json>;
  createdAt: Date;
}
