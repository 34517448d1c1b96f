import { jobStatuses, type Batch } from "@genga/jobs";
import { z } from "zod";
import { prefix } from "../http/paths.ts";
import { labelViewFields } from "./job-view.ts";

export const batchViewSchema = z.object({
  id: z.string(),
  name: z.string().nullable(),
  ...labelViewFields,
  createdAt: z.iso.datetime(),
  total: z.int(),
  pausedAt: z.iso.datetime().nullable().describe("null while the batch is not paused."),
  counts: z.record(z.enum(jobStatuses), z.int()),
  done: z.boolean().describe("Every job has ended."),
  links: z.record(z.string(), z.url()),
});

export function viewOfBatch(batch: Batch, baseUrl: string): z.infer<typeof batchViewSchema> {
  const { id, name, project, scene, shot, tags, createdAt, total, counts } = batch;
  return {
    id,
    name,
    ...{ project, scene, shot, tags },
    createdAt: createdAt.toISOString(),
    total,
    pausedAt: batch.pausedAt?.toISOString() ?? null,
    counts,
    done: counts.queued + counts.processing === 0,
    links: linksOfBatch(batch, baseUrl),
  };
}

/** Links to the batch, and to the actions that are possible now. */
function linksOfBatch({ id, counts, pausedAt }: Batch, baseUrl: string): Record<string, string> {
  const api = `${baseUrl}${prefix}`;
  const self = `${api}/batches/${id}`;
  return {
    self,
    jobs: `${api}/jobs?batch=${id}`,
    ...(counts.queued + counts.processing > 0 ? { cancel: `${self}/cancel`, pause: `${self}/pause` } : {}),
    ...(pausedAt === null ? {} : { resume: `${self}/resume` }),
    ...(counts.failed + counts.timeout > 0 ? { retry: `${self}/retry` } : {}),
  };
}
