import { z } from "zod";
import { type JobSpec } from "../plan/job-spec.ts";
import { type ServerKit } from "../plan/server-kits.ts";

/** Everything that was observed in a run, as plain data. Times are milliseconds since 1970, by this machine's clock. */
export interface History {
  jobs: JobHistory[];
  batches: BatchObservation[];
  submissions: SubmissionObservation[];
  servers: ({ url: string } & ServerKit)[];
  /** The pauses that were asked for, without the requests that ended them. */
  laneRequests: LaneRequest[];
  /** In the order of writing. */
  laneChanges: LaneChange[];
  executions: Execution[];
  attempts: Attempt[];
  /** In the order of writing. */
  writes: JobWrite[];
  troubles: Trouble[];
  /** Stored files that belong to no output. */
  orphans: OrphanedFile[];
  /** The names of the processes that ran until the end. */
  living: string[];
  /** Descriptions of processes that ended unexpectedly, or not as they should. */
  deaths: string[];
  /** The codes of failures that the faults of the run may cause. */
  excusedFailures: string[];
  /** When the latest round was over. A server that crashed did so before that. */
  observedUntil: number;
}

export interface JobHistory {
  id: string;
  /** The name in the plan, which its submission gave it as a tag; `null` for a job that no plan has. */
  name: string | null;
  spec: JobSpec | null;
  /** The ids of the jobs that it depends on. */
  dependsOn: string[];
  /** Labels that its server must have. */
  requires: string[];
  /** The answers of the APIs about the job over time; a request began after the one before had ended. */
  answers: Answer[];
  /** Frames of event streams, one list for each stream. */
  streams: StreamedFrame[][];
  /** Requests about the job itself or its batch. */
  requests: JobRequest[];
  /** The final answer of each API. */
  finalAnswers: Answer[];
  events: JobEventAnswer[];
  outputs: OutputObservation[];
}

export interface JobRequest {
  kind: "cancel" | "retry" | "cancel-batch" | "retry-batch";
  at: number;
  endedAt: number;
  httpStatus: number | null;
}

/** An operator's request to pause a lane. */
export interface LaneRequest {
  lane: string;
  endedAt: number;
  httpStatus: number | null;
}

/** A pause or its end, as the database has stored it. */
export interface LaneChange {
  lane: string;
  /** When it was written; its transaction may have ended later. */
  at: number;
  isPaused: boolean;
}

/** A submission that was sent several times with one Idempotency-Key. */
export interface SubmissionObservation {
  /** The job or the batch, by its name in the plan. */
  name: string;
  /** The ids of the batch and of the jobs in each answer that accepted it. */
  answers: string[][];
}

/** The final answer about a batch, and the counts of how its jobs really ended. */
export interface BatchObservation {
  id: string;
  total: number;
  counts: Record<string, number>;
  ends: Record<string, number>;
}

export interface Answer {
  at: number;
  /** `null`: no answer came. */
  httpStatus: number | null;
  job?: z.infer<typeof observedJobSchema>;
  /** The body of an answer that is not a job. */
  text?: string;
}

export interface StreamedFrame {
  at: number;
  event: string;
  sequence: number | null;
  attempt: number | null;
  percent: number | null;
}

export interface OutputObservation {
  attempt: number;
  index: number;
  kind: "file" | "text";
  mediaType: string;
  bytes: number;
  sha256: string;
  width: number | null;
  height: number | null;
  durationMs: number | null;
  text: string | null;
  /** The content of the file; a string = why it could not be read. */
  content:
    | {
        bytes: number;
        sha256: string;
        width: number | null;
        height: number | null;
        /** The colour of the first pixel, 0xRRGGBB. */
        color: number | null;
        /** The seeds in the graph that the picture contains. */
        seeds: number[];
        /** The prefixes of file names in the graph that the picture contains. */
        prefixes: string[];
      }
    | string;
}

export interface Execution {
  serverUrl: string;
  promptId: string;
  event: "started" | "finished";
  at: number;
}

export interface Attempt {
  jobId: string;
  number: number;
  promptId: string;
  serverUrl: string;
  claimedAt: number;
  submittedAt: number | null;
  finishedAt: number | null;
  outcome: string | null;
  failureClass: string | null;
  failureCode: string | null;
}

/** The failure code of an attempt whose prompt still waited on its server, and was taken back for an empty one. */
export const takenBackCode = "taken-back";
export const givenBackCode = "given-back";

/** A stored file, with job, attempt and lease as its name says. */
export interface OrphanedFile {
  name: string;
  jobId: string;
  attempt: number;
  leaseNumber: number;
}

/** One write to a job's row. */
export interface JobWrite {
  jobId: string;
  /** The job's lane after the write. */
  lane: string;
  at: number;
  /** The name of the process that wrote; `null` = no process of the suite. */
  process: string | null;
  before: RowState | null;
  after: RowState;
  /** By the database's clock, at the time of the write. */
  wasLeaseExpired: boolean;
}

export interface RowState {
  status: string;
  phase: string | null;
  attempt: number;
  leaseNumber: number;
  leaseOwner: string | null;
  percent: number;
  sequence: number;
  leaseExpiresAt: number | null;
  cancelRequestedAt: number | null;
}

/** A period with a disturbance that explains what would be a violation otherwise. */
export interface Trouble {
  kind:
    /** The server lost its queue and its history at that moment. */
    | "memory-lost"
    /** The server could not be reached, or only unreliably. */
    | "unreachable"
    /** Workers, or a store, were dead, paused or cut off. */
    | "workers"
    /** APIs, or a store, were dead, paused or cut off, so APIs may have missed signals of workers. */
    | "apis";
  /** Absent: all servers. */
  serverUrl?: string;
  from: number;
  to: number;
}

export const observedJobSchema = z.object({
  id: z.string(),
  status: z.enum(["queued", "processing", "completed", "failed", "timeout", "cancelled"]),
  phase: z.string().nullable(),
  attempt: z.number(),
  sequence: z.number(),
  cancelTooLate: z.boolean(),
  batchId: z.string().nullable(),
  progress: z.object({ percent: z.number() }),
  failure: z.object({ class: z.string(), code: z.string(), message: z.string() }).nullable(),
});

export const eventSchema = z.object({
  jobId: z.string(),
  sequence: z.number(),
  type: z.string(),
  attempt: z.number(),
  data: z.record(z.string(), z.unknown()),
  createdAt: z.string().transform((text) => Date.parse(text)),
});
export type JobEventAnswer = z.infer<typeof eventSchema>;

export const executionLineSchema = z
  .object({ promptId: z.string(), event: z.enum(["started", "finished"]), at: z.string() })
  .transform((line) => ({ ...line, at: Date.parse(line.at) }));

export const endings: ReadonlySet<string> = new Set(["completed", "failed", "timeout", "cancelled"]);

/** A promise that was not kept. */
export interface Violation {
  rule: string;
  jobId: string | null;
  message: string;
}
