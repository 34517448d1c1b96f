import { JobNotFoundError } from "@genga/jobs";
import { type Response } from "express";
import { z } from "zod";
import { comfyStatusOf } from "../comfy-api/comfy-job-view.ts";
import { type ComfyViewer } from "../comfy-api/comfy-jobs.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { basePathOf } from "../http/base-url.ts";
import { comfyApiPrefix } from "../http/paths.ts";
import { foundJob } from "../jobs/found-jobs.ts";
import { route } from "../routing/route.ts";
import { comfyBody, comfyJson, jsonInBytes, singleUseKey } from "./comfy-contents.ts";
import { keyOf, submissionHeaders } from "./submission-headers.ts";

const jobs = `${comfyApiPrefix}/jobs`;

type Viewing = Pick<ApiDependencies, "ownJobs" | "comfyJobs">;

export const submitComfyJob = route({
  id: "submitComfyJob",
  tag: "submit",
  method: "POST",
  path: jobs,
  access: "submit",
  submits: true,
  summary: "Submit a graph",
  headers: z.object({ "Idempotency-Key": singleUseKey, traceparent: submissionHeaders.shape.traceparent }),
  body: jsonInBytes,
  answers: { 201: { description: "The job is stored.", content: comfyBody } },
  handler: async (asked, { submissions, comfyJobs }: Pick<ApiDependencies, "submissions" | "comfyJobs">) => {
    const { body, headers, principal, baseUrl } = asked;
    const submission = { kind: "comfy-job", body, ...keyOf(headers), principal, baseUrl } as const;
    const { job } = await submissions.accept(submission);
    if (job === undefined) throw new Error("A job was accepted, and is not named.");
    return { status: 201, ...comfyJson(await comfyJobs.ofAccepted(job, viewerOf(asked))) };
  },
});

function viewerOf({
  principal,
  baseUrl,
  response,
}: Pick<ComfyViewer, "principal" | "baseUrl"> & { response: Response }): ComfyViewer {
  return { principal, baseUrl, basePath: basePathOf(response) };
}

const listSchema = z.looseObject({
  limit: z.coerce.number().int().min(1).max(100).default(50),
  cursor: z.string().max(200).optional(),
});

/** Not in version 2.0.0 of the contract; the official client for Python asks for it. */
export const listComfyJobs = route({
  id: "listComfyJobs",
  tag: "jobs",
  method: "GET",
  path: jobs,
  access: "read",
  summary: "Jobs, newest first",
  query: listSchema,
  answers: { 200: { description: "A page of them.", content: comfyBody } },
  handler: async ({ query, principal }, { ownJobs }: Pick<Viewing, "ownJobs">) => {
    const { limit, cursor, ...others } = query;
    // Jobs have no labels of this kind, so none has the ones that are asked for.
    if (Object.keys(others).some((name) => name.startsWith("metadata["))) return comfyJson({ jobs: [] });
    const { items, nextCursor } = await ownJobs(principal).listJobs({
      limit,
      ...(cursor !== undefined && { cursor }),
    });
    const summaries = items.map((job) => ({
      ...{ id: job.id, status: comfyStatusOf(job), metadata: {} },
      create_time: job.createdAt.toISOString(),
      update_time: (job.finishedAt ?? job.startedAt ?? job.createdAt).toISOString(),
    }));
    return comfyJson({ jobs: summaries, ...(nextCursor !== null && { next_cursor: nextCursor }) });
  },
});

const aJob = { tag: "jobs", path: `${jobs}/:id`, subject: "job" } as const;

export const getComfyJob = route({
  ...aJob,
  id: "getComfyJob",
  method: "GET",
  access: "read",
  isPolled: true,
  summary: "One job",
  answers: { 200: { description: "The job.", content: comfyBody } },
  handler: async (asked, { ownJobs, comfyJobs }: Viewing) => {
    const job = await foundJob(ownJobs(asked.principal), asked.id);
    return comfyJson(await comfyJobs.of(job, viewerOf(asked)));
  },
});

export const getComfyJobWorkflow = route({
  ...aJob,
  id: "getComfyJobWorkflow",
  method: "GET",
  path: `${jobs}/:id/workflow`,
  access: "read",
  summary: "The graph of a job",
  answers: { 200: { description: "The graph.", content: comfyBody } },
  handler: async ({ id, principal }, { ownJobs, comfyJobs }: Viewing) => {
    const graph = await comfyJobs.workflowOf(await foundJob(ownJobs(principal), id));
    // It was removed meanwhile.
    if (graph === null) throw new JobNotFoundError(id);
    const content = `{"workflow":${graph},"format":"api"}`;
    return { text: { mediaType: "application/json", content } };
  },
});

export const cancelComfyJob = route({
  ...aJob,
  id: "cancelComfyJob",
  method: "POST",
  path: `${jobs}/:id/cancel`,
  access: "submit",
  summary: "Cancel a job; one that has ended stays as it is",
  answers: { 200: { description: "The job as it is now.", content: comfyBody } },
  handler: async (asked, { jobCommands, comfyJobs }: Viewing & Pick<ApiDependencies, "jobCommands">) => {
    const { job } = await jobCommands(asked.principal).requestCancel(asked.id);
    return comfyJson(await comfyJobs.of(job, viewerOf(asked)));
  },
});
