import { z } from "zod";
import { linesMax } from "../accepting/job-lines.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { bodyBytesMax } from "../http/error-mapping.ts";
import { withoutUndefined } from "../http/request-values.ts";
import { foundBatch } from "../jobs/found-jobs.ts";
import { viewOfBatch } from "../jobs/batch-view.ts";
import { jsonBytes, jsonObject } from "../routing/bodies.ts";
import { json, location } from "../routing/contents.ts";
import { route } from "../routing/route.ts";
import { optionQueryFields } from "../submissions/job-options.ts";
import { batchJobsMax, batchNameSchema, dryRunSchema } from "../submissions/submission-body.ts";
import { priorityProblems } from "./jobs.ts";
import { labelQueryFields, pageQueryFields } from "./list-queries.ts";
import { problemsWithGraphs, rerunProblems } from "./generate.ts";
import { keyOf, replayed, replyOf, submissionHeaders } from "./submission-headers.ts";
import { retryBody, retryProblems } from "./retry-body.ts";

/** One job a line. */
const linesMediaType = "application/x-ndjson";

type Parts = Pick<ApiDependencies, "ownJobs" | "jobCommands">;

export const submitBatch = route({
  id: "submitBatch",
  tag: "submit",
  method: "POST",
  path: "batches",
  access: "submit",
  submits: true,
  summary: "Submit many jobs, all or none",
  description:
    "The jobs are listed, or described by a sweep: one job, and lists of values for some of its fields. Options beside them apply to " +
    "all jobs that have no own. A body of the type `application/x-ndjson` has one job a line, and no place for more: its name, " +
    "`dryRun` and the options go into the query, as in `?name=rain&priority=low&tags=night,rain`. It has at most " +
    `${batchJobsMax} jobs and, with the empty ones, ${linesMax} lines; a line may be as long as the body, which has at most ` +
    `${bodyBytesMax / 1024 ** 2} MiB. With another body the query says what the body leaves out.`,
  query: z.strictObject({
    name: batchNameSchema,
    dryRun: z
      .enum(["true", "false"])
      .optional()
      .describe(dryRunSchema.description ?? ""),
    ...optionQueryFields,
  }),
  headers: submissionHeaders,
  body: jsonBytes("NewBatch", [linesMediaType]),
  answers: {
    200: { description: "A dry run: all jobs would be accepted.", content: json("CheckedBatch") },
    202: {
      description: "All jobs are stored.",
      content: json("AcceptedBatch"),
      headers: { ...location, ...replayed },
    },
  },
  problems: [...problemsWithGraphs, "duplicate-key"],
  handler: async (
    { body, query, headers, principal, baseUrl, request },
    { submissions }: Pick<ApiDependencies, "submissions">,
  ) => {
    const isLines = request.is(linesMediaType) !== false;
    const key = keyOf(headers);
    const { dryRun, reuse, ...said } = withoutUndefined(query);
    const fields = {
      ...said,
      ...(dryRun !== undefined && { dryRun: dryRun === "true" }),
      ...(reuse !== undefined && { reuse: reuse === "true" }),
    };
    const batch = { kind: "batch", fields, isLines, body, ...key, principal, baseUrl } as const;
    const accepted = await submissions.accept(batch);
    if (accepted.isDryRun === true) return { status: 200, jsonBytes: accepted.answer };
    return { status: 202, ...replyOf(accepted) };
  },
});

export const rerunBatch = route({
  id: "rerunBatch",
  tag: "submit",
  method: "POST",
  path: "batches/:id/rerun",
  access: "submit",
  subject: "batch",
  submits: true,
  summary: "Make jobs of a batch again, with new seeds, as a new batch",
  description:
    'Up to 500 jobs, those with a mark or all. The new batch has the labels of the first one, and its name with " again", unless the ' +
    "body names it; `rerunOf` of each job names the first one.",
  headers: submissionHeaders,
  body: jsonBytes("BatchRerun", [], { isOptional: true }),
  answers: {
    202: {
      description: "All jobs are stored.",
      content: json("AcceptedBatch"),
      headers: { ...location, ...replayed },
    },
  },
  problems: ["batch-not-found", "batch-removed", ...rerunProblems.filter((code) => code !== "job-not-found")],
  handler: async (
    { id, body, headers, principal, baseUrl },
    { submissions }: Pick<ApiDependencies, "submissions">,
  ) => {
    const rerun = { kind: "batch-rerun", of: id, body, ...keyOf(headers), principal, baseUrl } as const;
    return replyOf(await submissions.accept(rerun));
  },
});

export const getBatch = route({
  id: "getBatch",
  tag: "jobs",
  method: "GET",
  path: "batches/:id",
  access: "read",
  subject: "batch",
  summary: "A batch, with counts, its first errors, and when it will probably end",
  answers: { 200: { description: "The batch.", content: json("BatchDetail") } },
  problems: ["batch-not-found", "batch-removed"],
  handler: async (
    { id, principal, baseUrl },
    { ownJobs, jobDetails }: Pick<ApiDependencies, "ownJobs" | "jobDetails">,
  ) => {
    const batch = await foundBatch(ownJobs(principal), id);
    return { json: await jobDetails.ofBatch(batch, { principal, baseUrl }) };
  },
});

export const listBatches = route({
  id: "listBatches",
  tag: "jobs",
  method: "GET",
  path: "batches",
  access: "read",
  summary: "Batches, newest first",
  description: "Labels find the batches whose request names them for all of its jobs.",
  query: z.strictObject({ ...labelQueryFields, ...pageQueryFields }),
  answers: { 200: { description: "A page of them.", content: json("BatchPage") } },
  problems: ["unknown-field", "invalid-field", "out-of-bounds", "invalid-request"],
  handler: async ({ query, principal, baseUrl }, { ownJobs }: Pick<ApiDependencies, "ownJobs">) => {
    const { items, nextCursor } = await ownJobs(principal).listBatches(withoutUndefined(query));
    return { json: { batches: items.map((batch) => viewOfBatch(batch, baseUrl)), nextCursor } };
  },
});

const change = { tag: "change", method: "POST", access: "submit", subject: "batch" } as const;

export const cancelBatch = route({
  ...change,
  id: "cancelBatch",
  path: "batches/:id/cancel",
  summary: "Cancel all jobs of a batch that have not ended",
  answers: { 202: { description: "The batch as it is now.", content: json("CancelledBatch") } },
  problems: ["batch-not-found", "batch-removed"],
  handler: async ({ id, principal, baseUrl }, { ownJobs, jobCommands }: Parts) => {
    const { cancelled, requested } = await jobCommands(principal).cancelBatch(id);
    const batch = viewOfBatch(await foundBatch(ownJobs(principal), id), baseUrl);
    return { json: { ...batch, cancelled, requested } };
  },
});

const changedBatch = {
  ...change,
  answers: { 200: { description: "The batch as it is now.", content: json("Batch") } },
} as const;

export const pauseBatch = route({
  ...changedBatch,
  id: "pauseBatch",
  path: "batches/:id/pause",
  summary: "Pause a batch",
  description:
    "Running jobs go on. Queued jobs wait until the batch is resumed, and so do jobs that are queued again meanwhile, after " +
    "a lost server or by a retry. `expiresAt` goes on counting.",
  problems: ["batch-not-found", "batch-removed", "batch-already-ended"],
  handler: async ({ id, principal, baseUrl }, { ownJobs, jobCommands }: Parts) => {
    await jobCommands(principal).pauseBatch(id);
    return { json: viewOfBatch(await foundBatch(ownJobs(principal), id), baseUrl) };
  },
});

export const resumeBatch = route({
  ...changedBatch,
  id: "resumeBatch",
  path: "batches/:id/resume",
  summary: "Resume a batch and all of its paused jobs",
  problems: ["batch-not-found", "batch-removed"],
  handler: async ({ id, principal, baseUrl }, { ownJobs, jobCommands }: Parts) => {
    await jobCommands(principal).resumeBatch(id);
    return { json: viewOfBatch(await foundBatch(ownJobs(principal), id), baseUrl) };
  },
});

export const changeBatchPriority = route({
  ...changedBatch,
  id: "changeBatchPriority",
  path: "batches/:id/priority",
  summary: "Change the priority of all jobs of a batch that wait",
  description:
    "They go to the end of their tenant's jobs of that priority, in their order. Running jobs keep their priority.",
  body: jsonObject("NewPriority"),
  problems: ["batch-not-found", "batch-removed", ...priorityProblems],
  handler: async ({ id, body, principal, baseUrl }, { ownJobs, jobCommands }: Parts) => {
    await jobCommands(principal).changePriorityOfBatch(id, body.priority);
    return { json: viewOfBatch(await foundBatch(ownJobs(principal), id), baseUrl) };
  },
});

export const retryBatch = route({
  ...change,
  id: "retryBatch",
  path: "batches/:id/retry",
  summary: "Try all failed and timed out jobs of a batch again",
  description:
    "`extraData` applies to those jobs of the batch that were submitted with secret extra data. Jobs that failed because of " +
    "one of these are queued again with it; a job stays failed while one that it depends on does.",
  body: retryBody,
  answers: { 202: { description: "The batch as it is now.", content: json("RetriedBatch") } },
  problems: ["batch-not-found", "batch-removed", ...retryProblems],
  handler: async ({ id, body: extraData, principal, baseUrl }, { ownJobs, jobCommands }: Parts) => {
    const retried = await jobCommands(principal).retryBatch(id, extraData);
    const batch = viewOfBatch(await foundBatch(ownJobs(principal), id), baseUrl);
    return { json: { ...batch, retried } };
  },
});

export const removeBatch = route({
  ...change,
  id: "removeBatch",
  method: "DELETE",
  path: "batches/:id",
  summary: "Remove an ended batch with all of its jobs",
  description:
    "The jobs are removed a few hundred at a time. If the request is interrupted, the same request goes on with the rest.",
  answers: {
    204: { description: "The batch and its jobs are removed; requests for them are answered with 410." },
  },
  problems: ["batch-not-found", "batch-removed", "batch-not-ended"],
  handler: async ({ id, principal }, { jobCommands }: Pick<ApiDependencies, "jobCommands">) => {
    await jobCommands(principal).removeBatch(id);
    return {};
  },
});
