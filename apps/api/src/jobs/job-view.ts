import {
  attemptOutcomes,
  failureClasses,
  jobEventTypes,
  jobMarks,
  jobPhases,
  jobPriorities,
  jobStatuses,
  jobTypes,
  isTerminal,
  traceIdOf,
  type Job,
  type JobAttempt,
  type JobEvent,
  type JobFailure,
  type JobProgress,
  type ShownJob,
} from "@genga/jobs";
import { z } from "zod";
import { prefix } from "../http/paths.ts";
import { etaFields } from "./eta-view.ts";
import { outputViewSchema } from "./output-view.ts";
import { dependencySchema, waitingReasonSchema } from "./waiting-view.ts";
import { type Sight } from "../access/sight.ts";

const moment = z.iso.datetime();
const link = z.url();
const forOperators = "Shown to keys of the role operate.";

const progressViewSchema = z.object({
  percent: z.number().min(0).max(100),
  node: z.string().nullable().describe("The running node; of several, the one that began last."),
  nodeTitle: z.string().nullable().describe("The titles of all running nodes."),
  step: z.number().nullable(),
  steps: z.number().nullable(),
  nodesDone: z.number().nullable(),
  nodesTotal: z.number().nullable(),
  remainingLowMs: z
    .int()
    .nullable()
    .describe(
      "How much longer the attempt runs, from the moment of this report: four of five runs end between this and the next " +
        "figure. null = nothing like it was measured before, or it does not run.",
    ),
  remainingHighMs: z.int().nullable(),
} satisfies Record<keyof JobProgress, z.ZodType>);

/** The fields of an answer that show a job's prompt. */
export const promptViewFields = {
  prompt: z
    .string()
    .nullable()
    .describe("The prompt; of a raw workflow the texts of its nodes, shortened; null if there is none."),
  negativePrompt: z.string().nullable().describe("null for a raw workflow."),
};

const serverNameSchema = z.object({
  id: z.string(),
  name: z.string().describe("A public name; it never changes and hides the address."),
  url: z.string().optional().describe(forOperators),
});

/** What every key may see of a job. */
export const failureViewSchema = z.object({
  class: z.enum(failureClasses),
  code: z.string(),
  message: z.string(),
  nodeId: z.string().nullable(),
  nodeType: z.string().nullable(),
});

export const labelViewFields = {
  project: z.string().nullable(),
  scene: z.string().nullable(),
  shot: z.string().nullable(),
  tags: z.array(z.string()),
};

export const templateOfJobSchema = z.object({ name: z.string(), version: z.int() });

export const jobViewSchema = z.object({
  id: z.string(),
  type: z.enum(jobTypes),
  status: z.enum(jobStatuses),
  ...promptViewFields,
  model: z
    .string()
    .nullable()
    .describe(
      "The main model that its server loads for it; null if there is none, or for a graph whose model is not known any more.",
    ),
  template: templateOfJobSchema.nullable().describe("The template that it was made of."),
  phase: z.enum(jobPhases).nullable().describe("null once the job has ended."),
  progress: progressViewSchema,
  priority: z.enum(jobPriorities),
  ...labelViewFields,
  requires: z.array(z.string()).describe("Labels that its server must have."),
  batchId: z.string().nullable(),
  batchIndex: z.int().nullable(),
  key: z.string().nullable().describe("The name that its submission gave it within its batch."),
  attempt: z.int().describe("Number of the latest attempt; 0 before the first."),
  attemptsMax: z.int(),
  timeoutMs: z.int(),
  runAt: moment.nullable().describe("The job does not begin before this time; null once it has begun."),
  pausedAt: moment.nullable().describe("null while the job is not paused."),
  expiresAt: moment.nullable().describe("If the job has not begun to execute by this time, it times out."),
  server: serverNameSchema.nullable(),
  failure: failureViewSchema
    .nullable()
    .describe("Why the job, or the latest attempt of a waiting job, failed."),
  warnings: z
    .array(z.string())
    .describe("What went wrong although the job completed, such as a node that was blocked."),
  reusedFrom: z
    .string()
    .nullable()
    .describe(
      "The completed job whose outputs it got, so that it never ran; that one may have been removed since.",
    ),
  cancelRequestedAt: moment.nullable(),
  rerunOf: z.string().nullable().describe("The job that it makes again, which may have been removed."),
  traceId: z.string().nullable().describe("The distributed trace of the request that submitted it."),
  cancelTooLate: z.boolean().describe("The cancel request came when the prompt had already succeeded."),
  mark: z.enum(jobMarks).nullable().describe("What somebody of the tenant chose; null = nothing yet."),
  createdAt: moment,
  startedAt: moment.nullable(),
  finishedAt: moment.nullable(),
  sequence: z.int().describe("The sequence of the job's latest event."),
  links: z.record(z.string(), link),
});

export const attemptViewSchema = z.object({
  number: z.int(),
  promptId: z.string().describe("The id of the prompt on the ComfyUI server."),
  server: serverNameSchema,
  serverUrl: z.string().optional().describe(forOperators),
  workerId: z.string().optional().describe(forOperators),
  claimedAt: moment,
  executionStartedAt: moment.nullable(),
  finishedAt: moment.nullable(),
  outcome: z.enum(attemptOutcomes).nullable().describe("null while the attempt runs."),
  failure: failureViewSchema
    .extend({
      exceptionMessage: z.string().nullable().describe("The whole text of the node's exception."),
      traceback: z.array(z.string()).describe("The innermost lines of the traceback."),
    })
    .nullable(),
});

/** The answer for a single job. */
export const jobDetailSchema = jobViewSchema.extend({
  dependsOn: z.array(dependencySchema).describe("The jobs that had, or have, to complete before this one."),
  waitingFor: waitingReasonSchema.nullable().describe("Why the job waits; null when it does not wait."),
  ...etaFields,
  outputs: z.array(outputViewSchema).describe("Empty until the job has completed."),
});

/** Jobs that wait for each other. */
export const chainSchema = z.object({
  jobs: z.array(
    z.object({
      id: z.string(),
      key: z.string().nullable(),
      type: z.enum(jobTypes).nullable().describe("null = the job was removed."),
      status: z.enum([...jobStatuses, "removed"]),
      batchId: z.string().nullable(),
      needs: z.array(z.string()).describe("The jobs that must complete before it, or had to."),
    }),
  ),
  isWhole: z.boolean().describe("There are no more jobs in it."),
});

export const jobEventViewSchema = z.object({
  jobId: z.string(),
  sequence: z.int(),
  type: z.enum(jobEventTypes),
  attempt: z.int(),
  data: z.record(z.string(), z.unknown()),
  createdAt: moment,
});

export const jobHistorySchema = z.object({
  id: z.string(),
  status: z.enum(jobStatuses),
  events: z.array(jobEventViewSchema),
  nextAfter: z.int().nullable().describe("`after` of the next page; null when there is none yet."),
});

export type JobView = z.infer<typeof jobViewSchema>;
export type JobDetail = z.infer<typeof jobDetailSchema>;

/** What a job's view needs beside the job's row. */
export interface JobSurroundings {
  /** What the client may see of servers. */
  sight: Sight;
  shown: ShownJob | undefined;
  /** The URL that links begin with, as `baseUrlOf` returns it. */
  baseUrl: string;
}

export function viewOfJob(job: Job, { sight, shown, baseUrl }: JobSurroundings): JobView {
  return {
    id: job.id,
    type: job.type,
    status: job.status,
    prompt: shown?.prompt ?? null,
    negativePrompt: shown?.negativePrompt ?? null,
    model: shown?.model ?? null,
    template: job.template,
    phase: job.phase,
    progress: job.progress,
    priority: job.priority,
    project: job.project,
    scene: job.scene,
    shot: job.shot,
    tags: job.tags,
    requires: job.requires,
    batchId: job.batchId,
    batchIndex: job.batchIndex,
    key: job.key,
    attempt: job.attempt,
    attemptsMax: job.attemptsMax,
    timeoutMs: job.timeoutMs,
    runAt: isoOf(job.runAt),
    pausedAt: isoOf(job.pausedAt),
    expiresAt: isoOf(job.expiresAt),
    server: job.serverId === null ? null : sight.server(job.serverId),
    failure: job.failure && viewOfFailure(job.failure, sight),
    warnings: job.warnings.map((warning) => sight.text(warning)),
    reusedFrom: job.reusedFrom,
    cancelRequestedAt: isoOf(job.cancelRequestedAt),
    rerunOf: job.rerunOf,
    traceId: traceIdOf(job.traceparent),
    cancelTooLate: job.cancelTooLate,
    mark: shown?.mark ?? null,
    createdAt: job.createdAt.toISOString(),
    startedAt: isoOf(job.startedAt),
    finishedAt: isoOf(job.finishedAt),
    sequence: job.eventSequence,
    links: {
      ...linksOfJob(job, baseUrl),
      ...(shown?.hasPicture === true && { thumbnail: `${baseUrl}${prefix}/jobs/${job.id}/thumbnail` }),
    },
  };
}

export function linksOfJob(job: Job, baseUrl: string): Record<string, string> {
  const self = `${baseUrl}${prefix}/jobs/${job.id}`;
  return {
    self,
    events: `${self}/events`,
    outputs: `${self}/outputs`,
    attempts: `${self}/attempts`,
    parameters: `${self}/parameters`,
    workflow: `${self}/workflow`,
    rerun: `${self}/rerun`,
    ...(job.batchId === null ? {} : { batch: `${baseUrl}${prefix}/batches/${job.batchId}` }),
    ...(job.status === "processing" ? { preview: `${self}/preview` } : {}),
    ...(job.status === "queued" && job.pausedAt === null ? { pause: `${self}/pause` } : {}),
    ...(job.pausedAt === null ? {} : { resume: `${self}/resume` }),
    ...(isTerminal(job.status) ? {} : { cancel: `${self}/cancel` }),
    ...(isTerminal(job.status) && job.status !== "completed" ? { retry: `${self}/retry` } : {}),
  };
}

/** An event in the form in which it is sent. */
export type EventView = Omit<JobEvent, "createdAt"> & { createdAt: string };

export function viewOfEvent(event: JobEvent, sight: Sight): EventView {
  const { jobId, sequence, type, attempt, data, createdAt } = event;
  return { jobId, sequence, type, attempt, data: sight.data(data), createdAt: createdAt.toISOString() };
}

export function viewOfAttempt(attempt: JobAttempt, sight: Sight): z.infer<typeof attemptViewSchema> {
  const { number, promptId, serverId, serverUrl, workerId, outcome, failure } = attempt;
  return {
    ...{ number, promptId, outcome, server: sight.server(serverId) },
    ...(sight.operates ? { serverUrl, workerId } : {}),
    claimedAt: attempt.claimedAt.toISOString(),
    executionStartedAt: isoOf(attempt.executionStartedAt),
    finishedAt: isoOf(attempt.finishedAt),
    failure:
      failure === null
        ? null
        : {
            ...viewOfFailure(failure, sight),
            exceptionMessage: textOf(failure.exceptionMessage, sight),
            traceback: (failure.traceback ?? []).map((line) => sight.text(line)),
          },
  };
}

export function viewOfFailure(failure: JobFailure, sight: Sight): z.infer<typeof failureViewSchema> {
  return {
    class: failure.class,
    code: failure.code,
    message: sight.text(failure.message),
    nodeId: failure.nodeId ?? null,
    nodeType: failure.nodeType ?? null,
  };
}

function textOf(text: string | undefined, sight: Sight): string | null {
  return text === undefined ? null : sight.text(text);
}

function isoOf(date: Date | null): string | null {
  return date?.toISOString() ?? null;
}
