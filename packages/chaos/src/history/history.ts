import { z } from "zod";
import { type JobSpec } from "../plan/job-spec.ts";

/** Everything that was observed of a run, as plain data. Moments are milliseconds since 1970, by this machine's clock. */
export interface History {
  jobs: JobHistory[];
  batches: BatchObservation[];
  executions: Execution[];
  attempts: Attempt[];
  /** In the order of writing. */
  writes: JobWrite[];
  troubles: Trouble[];
  /** Files that were stored and that no output names. */
  orphans: OrphanedFile[];
  /** Names of the processes that ran to the last. */
  living: string[];
  /** What ended without being asked, or not as it should, in words. */
  deaths: string[];
  /** Failures that the faults of the run may bring about, by code. */
  excusedFailures: string[];
  /** When the latest round was over: servers that died did so before. */
  observedUntil: number;
}

export interface JobHistory {
  id: string;
  /** The plan's own name; `null` for a job whose 202 never arrived. */
  name: string | null;
  spec: JobSpec | null;
  /** What the APIs said of it over time; a request began after the one before had ended. */
  answers: Answer[];
  /** Frames of event streams, one list for each stream. */
  streams: StreamedFrame[][];
  /** By itself, or with its batch. */
  requests: JobRequest[];
  /** In the end, from each API. */
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

/** What the API says of a batch in the end, and how its jobs ended, by status. */
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
  /** Of an answer that is not a job. */
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
  /** What its bytes turned out to be; a string says why they could not be read. */
  content:
    | {
        bytes: number;
        sha256: string;
        width: number | null;
        height: number | null;
        /** Of the first pixel, 0xRRGGBB. */
        color: number | null;
        /** Seeds that the picture's own graph names. */
        seeds: number[];
        /** File name prefixes that the picture's own graph names. */
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

/** A file in storage, as its name tells: for one job, attempt and lease. */
export interface OrphanedFile {
  name: string;
  jobId: string;
  attempt: number;
  leaseNumber: number;
}

/** One write to a job's row. */
export interface JobWrite {
  jobId: string;
  at: number;
  /** The process that wrote; `null` = none of ours. */
  process: string | null;
  before: RowState | null;
  after: RowState;
  /** By the database's clock, at the moment of writing. */
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

/** A time in which something was wrong that explains what would be a fault otherwise. */
export interface Trouble {
  kind:
    /** The server forgot its queue and its history at that moment. */
    | "memory-lost"
    /** The server could not be talked to, or not reliably. */
    | "unreachable"
    /** Workers were dead, paused or cut off, or a store was. */
    | "workers"
    /** An API was dead, paused or cut off, or a store was: it may not have heard what workers told. */
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
