import { jobStatuses, type Batch, type Job } from "@genga/jobs";
import { z } from "zod";
import { prefix } from "../http/paths.ts";
import { type Sight } from "../access/sight.ts";
import { etaFields } from "./eta-view.ts";
import { failureViewSchema, labelViewFields, viewOfFailure } from "./job-view.ts";

export const batchViewSchema = z.object({
  id: z.string(),
  name: z.string().nullable(),
  ...labelViewFields,
  createdAt: z.iso.datetime(),
  total: z.int(),
  pausedAt: z.iso.datetime().nullable().describe("null while the batch is not paused."),
  counts: z.record(z.enum(jobStatuses), z.int()),
  percent: z
    .number()
    .min(0)
    .max(100)
    .describe(
      "How far all jobs together have come; ended ones count as done. 100 only when every job has ended.",
    ),
  done: z.boolean().describe("Every job has ended."),
  links: z.record(z.string(), z.url()),
});

export function viewOfBatch(batch: Batch, baseUrl: string): z.infer<typeof batchViewSchema> {
  const { id, name, project, scene, shot, tags, createdAt, total, counts } = batch;
  const isDone = counts.queued + counts.processing === 0;
  return {
    id,
    name,
    ...{ project, scene, shot, tags },
    createdAt: createdAt.toISOString(),
    total,
    pausedAt: batch.pausedAt?.toISOString() ?? null,
    counts,
    percent: isDone ? 100 : Math.min(Math.floor(batch.percent * 10) / 10, 99.9),
    done: isDone,
    links: linksOfBatch(batch, baseUrl),
  };
}

export const batchDetailSchema = batchViewSchema.extend({
  firstErrors: z
    .array(
      z.object({
        jobId: z.string(),
        index: z.int().describe("The place of the job in its batch, from 0."),
        status: z.enum(jobStatuses),
        failure: failureViewSchema.nullable(),
      }),
    )
    .describe("The failed and timed out jobs that stand first in the batch, at most 5."),
  ...etaFields,
});

/** @param failed jobs of the batch */
export function viewOfBatchDetail(
  batch: Batch,
  failed: readonly Job[],
  { sight, baseUrl }: { sight: Sight; baseUrl: string },
): Omit<z.infer<typeof batchDetailSchema>, keyof typeof etaFields> {
  const firstErrors = failed.map(({ id, batchIndex, status, failure }) => ({
    ...{ jobId: id, index: batchIndex ?? 0, status },
    failure: failure && viewOfFailure(failure, sight),
  }));
  return { ...viewOfBatch(batch, baseUrl), firstErrors };
}

/** Links to the batch, and to the actions that are possible now. */
function linksOfBatch({ id, counts, pausedAt }: Batch, baseUrl: string): Record<string, string> {
  const api = `${baseUrl}${prefix}`;
  const self = `${api}/batches/${id}`;
  return {
    self,
    jobs: `${api}/jobs?batch=${id}`,
    events: `${self}/events`,
    ...(counts.completed > 0 ? { zip: `${self}/outputs.zip` } : {}),
    ...(counts.queued + counts.processing > 0 ? { cancel: `${self}/cancel`, pause: `${self}/pause` } : {}),
    ...(pausedAt === null ? {} : { resume: `${self}/resume` }),
    ...(counts.failed + counts.timeout > 0 ? { retry: `${self}/retry` } : {}),
  };
}
