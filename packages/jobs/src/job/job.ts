/** The nouns of Genga: what a job is, and which values its fields may have. ARCHITECTURE.md has the glossary. */

import { type NewDoorPrompt } from "./door-prompt.ts";
import { type Lane } from "./lane.ts";
import { type NewWebhook } from "./webhook.ts";

export const jobTypes = ["image", "video", "workflow"] as const;
export type JobType = (typeof jobTypes)[number];

export const jobStatuses = ["queued", "processing", "completed", "failed", "timeout", "cancelled"] as const;
export type JobStatus = (typeof jobStatuses)[number];

/** The phases that a person sees; they refine the statuses `queued` and `processing`. */
export const jobPhases = ["waiting", "submitted", "executing", "saving"] as const;
export type JobPhase = (typeof jobPhases)[number];

/** From the first served to the last; the index is the priority band of the ticket. */
export const jobPriorities = ["urgent", "high", "normal", "low"] as const;
export type JobPriority = (typeof jobPriorities)[number];

/** A JSON value. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/**
 * How far an attempt has come, as it is stored and answered. `percent` is 0–100 and never falls within an attempt. The
 * other figures come from `Progress` of packages/comfyui; null = not known yet, or none, as `step` of a node without
 * steps.
 */
export interface JobProgress {
  percent: number;
  node: string | null;
  nodeTitle: string | null;
  step: number | null;
  steps: number | null;
  nodesDone: number | null;
  nodesTotal: number | null;
  /**
   * How much longer it will run, from the moment of this report: four of five runs end between these. null = nothing like
   * it was measured before.
   */
  remainingLowMs: number | null;
  remainingHighMs: number | null;
}

/** The class of a failure decides what happens next; see `retry-rule.ts`. */
export const failureClasses = [
  ...(["invalid", "execution", "out_of_memory", "server", "deadline", "dependency"] as const),
] as const;
export type FailureClass = (typeof failureClasses)[number];

/** Why an attempt or a job failed, in words that a user can act on. */
export interface JobFailure {
  class: FailureClass;
  /** Stable, kebab-case: `node-failed`, `server-lost`, `output-empty`, … */
  code: string;
  message: string;
  nodeId?: string;
  nodeType?: string;
  /**
   * The whole text of a node's exception, at most a few thousand characters; `message` has the line of it that explains
   * most.
   */
  exceptionMessage?: string;
  /** The innermost lines of a node's traceback, at most a few; never with the node's inputs. */
  traceback?: string[];
}

/** By what a production finds its jobs again. */
export interface JobLabels {
  project: string | null;
  scene: string | null;
  shot: string | null;
  tags: string[];
}

/** A version of a template: of the tenant's own, or of a built-in one. */
export interface TemplateVersionName {
  name: string;
  version: number;
}

/** The row of a job, without its parameters and its graph. */
export interface Job extends JobLabels {
  id: string;
  tenantId: string;
  batchId: string | null;
  /** The place in its batch, from 0. */
  batchIndex: number | null;
  /** The name that its submission gave it, by which other jobs of its batch may depend on it. */
  key: string | null;
  type: JobType;
  status: JobStatus;
  /** `null` once the job has ended. */
  phase: JobPhase | null;
  priority: JobPriority;
  lane: string;
  /** The place in its tenant's queue, within the priority band; see `ticket-queue.ts`. */
  rank: number;
  /** How many bands it has moved up, while it waits, because it has waited long. */
  agedBands: number;
  /** Labels that its server must have, each once, sorted. */
  requires: string[];
  /** The number of the latest attempt; 0 before the first. */
  attempt: number;
  /** Attempts that count towards `attemptsMax`. An attempt whose server was lost does not count. */
  attemptsCharged: number;
  attemptsMax: number;
  /** Attempts that ran out of memory. */
  outOfMemoryCount: number;
  /** Attempts that were executing when their server crashed. */
  crashCount: number;
  /** Raised by 1 with every claim, adoption and take-over. */
  leaseNumber: number;
  serverId: string | null;
  promptId: string | null;
  progress: JobProgress;
  /** When its worker last told its progress. */
  progressAt: Date | null;
  failure: JobFailure | null;
  /** What went wrong although the job completed, such as a node that was blocked, so that its output is missing. */
  warnings: string[];
  /** The completed job from which it was answered, so that it never ran; that job may have been removed since. */
  reusedFrom: string | null;
  timeoutMs: number;
  /** The sequence of the latest event; the first event, `accepted`, has 1. */
  eventSequence: number;
  cancelRequestedAt: Date | null;
  /** A cancel request arrived after the job had already succeeded on its server. */
  cancelTooLate: boolean;
  /** A queued job gets no ticket before this time: the client said so, or an earlier attempt failed. */
  runAt: Date | null;
  /** A queued job that is paused gets no ticket until it is resumed. */
  pausedAt: Date | null;
  enqueuedAt: Date | null;
  /** Rises when a queued job loses its ticket, or is queued again: an earlier ticket is stale then. */
  ticketNumber: number;
  /** How many of the jobs that it depends on have not completed; it runs when there are none. */
  openDependencies: number;
  /** If the job has not begun to execute by this time, it times out. */
  expiresAt: Date | null;
  /** The id of the job that it makes again, which may have been removed; `null` = it is no rerun. */
  rerunOf: string | null;
  /** Its place in a distributed trace, as the header `traceparent` has it; `null` = it is in none. */
  traceparent: string | null;
  /** The template that it was made of. */
  template: TemplateVersionName | null;
  createdAt: Date;
  /** When a server first executed the job. */
  startedAt: Date | null;
  finishedAt: Date | null;
}

/** The parameters of a job, which are stored apart from its row. */
export interface JobParameters {
  /** The parameters as given, with defaults and the chosen seed filled in. Integers beyond 2^53−1 are text. */
  parameters: Json;
  /**
   * The ComfyUI graph as JSON text. Text keeps numbers as they were written: seeds beyond 2^53, and `1.0` as a float.
   */
  workflow: string;
}

/** How a job's graph was made of a template. */
export interface UsedTemplate extends TemplateVersionName {
  /** Integers beyond 2^53−1 are text. `null` = the job's parameters are the values, as with built-in templates. */
  values: Record<string, Json> | null;
}

/** A job that is about to be inserted. */
export interface NewJob extends JobParameters, JobLabels {
  id: string;
  type: JobType;
  priority: JobPriority;
  /** `null` = the lane `default`. */
  lane: Lane | null;
  batchIndex: number | null;
  /** Labels that its server must have, each once, sorted. */
  requires: string[];
  attemptsMax: number;
  timeoutMs: number;
  runAt: Date | null;
  expiresAt: Date | null;
  /** The result of `promptTextOf`. */
  promptText: string;
  /** It may be answered from a completed job of the tenant with the same graph. */
  mayReuse?: boolean;
  /** Absent = none. */
  key?: string | null;
  /** The template that it was made of. Absent = none. */
  template?: UsedTemplate;
  /** The ids of the jobs that must complete first, each once: of the same submission, or of the same tenant. */
  dependsOn?: readonly string[];
  /** Outputs of some of these that its graph reads. Absent = none. */
  inputs?: readonly NewJobInput[];
  /** The uploads that the job's graph names. */
  uploadIds: string[];
  /** The id of the job that it makes again. Absent = none. */
  rerunOf?: string;
  /** Its place in a distributed trace. Absent = it is in none. */
  traceparent?: string;
  /** The hash under which an equal graph is stored already, perhaps in another order of its names. Absent = its own. */
  workflowHash?: string;
  /** The part of extraData that is no secret, as JSON text; absent where the parameters contain the same numbers. */
  extraDataText?: string;
  /** The secret part of extraData, encrypted. Kept until the job ends. */
  sealedExtraData?: Uint8Array;
  /** Where its events are sent. */
  webhook?: NewWebhook;
  /** It was submitted in ComfyUI's protocol. */
  door?: NewDoorPrompt;
}

/** The parameters of a job as they are stored; its graph has stand-ins for the outputs of other jobs. */
export interface StoredParameters extends JobParameters {
  inputs: readonly Pick<NewJobInput, "name" | "from" | "output">[];
  /** The open part of extraData as JSON text, where the parameters show other numbers. */
  extraDataText: string | null;
  workflowHash: string;
  /** The job was submitted with secret extraData. */
  hadSecrets: boolean;
  /** The values with which the graph was made of a stored template; `null` = of none. */
  templateValues: Record<string, Json> | null;
}

/** An output of another job that a job's graph reads. */
export interface NewJobInput {
  /** The stand-in's name, which the graph has in place of the file. */
  name: string;
  /** The id of the other job. */
  from: string;
  /** The index of its output. */
  output: number;
  /** What the file must be; `null` = anything. */
  kind: InputKind | null;
  /** The other job was removed: this rerun reads the file that the job with this id has read. Absent = as usual. */
  copiedFrom?: string;
}
export const inputKinds = ["image", "video", "audio"] as const;
export type InputKind = (typeof inputKinds)[number];

/** Whether a loader of this kind reads such files: those of videos also read moving images, those of sounds the sound of a video. */
export function isOfKind(kind: InputKind, mediaType: string): boolean {
  switch (kind) {
    case "image":
      return mediaType.startsWith("image/");
    case "video":
      return /^video\/|^image\/(?:gif|webp|apng)$/.test(mediaType);
    case "audio":
      return /^(?:audio|video)\//.test(mediaType);
  }
}

/** The same once the other job has completed; `file` is null when that job has no such file. */
export interface JobInput extends NewJobInput {
  file: { storageKey: string; sha256: string; mediaType: string; filename: string; bytes: number } | null;
}

/** A job that must complete before another one runs. */
export interface JobDependency {
  jobId: string;
  key: string | null;
  status: JobStatus | "removed";
  /** It has completed; this stays true when it is removed. */
  isMet: boolean;
}

/** A job within the chain in which it stands. */
export interface ChainJob {
  id: string;
  key: string | null;
  /** `null` if it was removed, as `batchId`. */
  type: JobType | null;
  status: JobStatus | "removed";
  batchId: string | null;
  /** The jobs that must complete before it, or had to. */
  needs: string[];
}

export interface NewBatch {
  id: string;
  name: string | null;
  /** What its request says for all of its jobs. */
  labels?: JobLabels;
  /** Where its events, and those of its jobs, are sent. */
  webhook?: NewWebhook;
}

export interface Batch extends JobLabels {
  id: string;
  tenantId: string;
  name: string | null;
  /** Jobs of a paused batch that are queued, now or later, get no tickets until it is resumed. */
  pausedAt: Date | null;
  createdAt: Date;
  total: number;
  counts: Record<JobStatus, number>;
  /** 0–100: how far all jobs together have come. Ended and removed jobs count as done. */
  percent: number;
}

/** One file or text that a node produced, stored by Genga. */
export interface JobOutput {
  id: string;
  jobId: string;
  attempt: number;
  nodeId: string;
  /** The key under which the node listed it: `images`, `gifs`, `text`, … */
  key: string;
  /** The place among all outputs of the job, from 0. */
  index: number;
  kind: "file" | "text";
  /** The file name on the server; `null` for a text. */
  filename: string | null;
  mediaType: string;
  bytes: number;
  sha256: string;
  width: number | null;
  height: number | null;
  durationMs: number | null;
  /** The key of the file in `OutputStorage`; `null` for a text. */
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
  "paused",
  "resumed",
  "priority_changed",
  "completed",
  "failed",
  "timeout",
  "cancelled",
] as const;
export type JobEventType = (typeof jobEventTypes)[number];

/** The record of one execution of a job. */
export interface JobAttempt {
  number: number;
  promptId: string;
  serverId: string;
  serverUrl: string;
  /** The worker that claimed the job. Later adoptions are recorded as events. */
  workerId: string;
  claimedAt: Date;
  executionStartedAt: Date | null;
  finishedAt: Date | null;
  outcome: AttemptOutcome | null;
  failure: JobFailure | null;
}

export const attemptOutcomes = ["completed", "failed", "timeout", "cancelled", "requeued"] as const;
export type AttemptOutcome = (typeof attemptOutcomes)[number];

/** One event in a job's history. The sequences of a job have no gaps. */
export interface JobEvent {
  jobId: string;
  sequence: number;
  type: JobEventType;
  attempt: number;
  data: Record<string, Json>;
  createdAt: Date;
}
