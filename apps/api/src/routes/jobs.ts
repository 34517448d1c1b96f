import { toClientJsonText } from "@genga/comfyui";
import { isTerminal, jobMarks, jobStatuses, jobTypes, type JobFilter } from "@genga/jobs";
import { withOutputsShownInText } from "@genga/workflows";
import { type Response } from "express";
import { z } from "zod";
import { type ApiDependencies } from "../dependencies.ts";
import { RefusedError } from "../http/problem-document.ts";
import { storable, storableText, withoutUndefined } from "../http/request-values.ts";
import { viewOfAttempt } from "../jobs/job-view.ts";
import { viewOfOutput } from "../jobs/output-view.ts";
import { foundJob, foundParameters } from "../jobs/found-jobs.ts";
import { type Viewer } from "../jobs/job-details.ts";
import { leftOrStopping, waitForEnd, waitPattern, waitSchema } from "../jobs/wait-for-end.ts";
import { jsonObject } from "../routing/bodies.ts";
import { json } from "../routing/contents.ts";
import { type AnswerOf } from "../routing/reply.ts";
import { route } from "../routing/route.ts";
import { labelQueryFields, pageQueryFields } from "./list-queries.ts";
import { retryBody, retryProblems } from "./retry-body.ts";

type Parts = Pick<ApiDependencies, "ownJobs" | "jobDetails">;
type WaitingParts = Parts & Pick<ApiDependencies, "admission" | "feed" | "stopping">;
type Changing = Pick<ApiDependencies, "jobCommands" | "jobDetails">;
type Own = Pick<ApiDependencies, "ownJobs">;

const ofJob = {
  tag: "jobs",
  method: "GET",
  access: "read",
  subject: "job",
  problems: ["job-not-found", "job-removed"],
} as const;

const aJob = {
  ...ofJob,
  problems: [...ofJob.problems, "invalid-field"],
  summary: "One job, with why it waits or what it made",
  description:
    "With `wait` the answer comes when the job has ended, or when the time is up. Such a request counts as an event stream.",
  query: z.object({
    wait: waitSchema.optional().meta({
      ...{ type: "string", pattern: waitPattern },
      description: "How long to wait for the end of the job, up to 2 minutes: 30s, 1500ms, 2m.",
    }),
  }),
  answers: { 200: { description: "The job.", content: json("JobDetail") } },
  handler: show,
} as const;

export const getJob = route({ ...aJob, id: "getJob", path: "jobs/:id" });

export const getJobByOldPath = route({
  ...aJob,
  id: "getJobByOldPath",
  path: "job/:id",
  summary: "The same, under a path that an earlier system used",
});

async function show(
  asked: Viewer & { id: string; query: { wait?: number | undefined }; response: Response },
  { ownJobs, jobDetails, admission, feed, stopping }: WaitingParts,
): Promise<{ json: AnswerOf<"JobDetail"> }> {
  const jobs = ownJobs(asked.principal);
  const job = await foundJob(jobs, asked.id);
  const ms = asked.query.wait;
  if (ms === undefined || isTerminal(job.status)) return { json: await jobDetails.of(job, asked) };
  await admission.openStream(asked.response);
  const signal = leftOrStopping(asked.response, stopping);
  return { json: await jobDetails.of(await waitForEnd(job, { feed, jobs }, { ms, signal }), asked) };
}

const jobsQuerySchema = z.strictObject({
  status: z
    .array(z.enum(jobStatuses))
    .min(1)
    .max(20)
    .optional()
    .describe("One or several, separated by commas."),
  type: z.array(z.enum(jobTypes)).min(1).max(20).optional().describe("One or several, separated by commas."),
  batch: z.uuid({ error: "is not a batch's id" }).optional(),
  template: storableText(64).optional().describe("The name of the template that they were made of."),
  templateVersion: z.coerce.number().int().min(1).max(2_147_483_647).optional(),
  ...labelQueryFields,
  text: storable(z.string().max(200))
    .regex(/[\s\S]{3}|[^ -~]/, { error: "must have at least three characters, or one beyond ASCII" })
    .meta({ pattern: "^[^\\u0000]*(?:[^\\u0000]{3}|[^\\u0000 -~])[^\\u0000]*$" })
    .optional()
    .describe("Found anywhere in the prompt, ignoring case: three characters, or one beyond ASCII (花)."),
  mark: z
    .enum([...jobMarks, "none"])
    .optional()
    .describe("What somebody chose; `none` = nothing yet."),
  ...pageQueryFields,
});

export const listJobs = route({
  id: "listJobs",
  tag: "jobs",
  method: "GET",
  path: "jobs",
  access: "read",
  summary: "Jobs, newest first",
  query: jobsQuerySchema,
  answers: { 200: { description: "A page of them.", content: json("JobPage") } },
  problems: ["unknown-field", "invalid-field", "out-of-bounds", "invalid-request", "search-too-broad"],
  handler: async (asked, { ownJobs, jobDetails }: Parts) => {
    const { items, nextCursor } = await ownJobs(asked.principal).listJobs(filterOf(asked.query));
    return { json: { jobs: await jobDetails.viewsOf(items, asked), nextCursor } };
  },
});

function filterOf(query: z.output<typeof jobsQuerySchema>): JobFilter {
  const { status, type, batch, ...others } = query;
  return withoutUndefined({ ...others, statuses: status, types: type, batchId: batch?.toLowerCase() });
}

const integersAsText =
  "Integers beyond 2^53−1 are texts of digits, since most readers of JSON would round them. Servers read such texts for " +
  "INT inputs, so that a workflow can be submitted again as it is answered.";

const parametersSchema = z.record(z.string(), z.unknown());

export const getParameters = route({
  ...ofJob,
  id: "getParameters",
  path: "jobs/:id/parameters",
  summary: "The parameters of a job, with defaults and the seed filled in",
  description: integersAsText,
  answers: { 200: { description: "The parameters.", content: json("Parameters") } },
  handler: async ({ id, principal }, { ownJobs }: Own) => {
    const jobs = ownJobs(principal);
    const job = await foundJob(jobs, id);
    const { parameters: stored, templateValues } = await foundParameters(jobs, job);
    const parameters = parametersSchema.parse(stored);
    // The parameters of a job that was made of a built-in template are its values.
    const template = job.template && { ...job.template, values: templateValues ?? parameters };
    return { json: { id: job.id, type: job.type, parameters, template } };
  },
});

export const getWorkflow = route({
  ...ofJob,
  id: "getWorkflow",
  path: "jobs/:id/workflow",
  summary: "The ComfyUI graph of a job",
  description: `Outputs of other jobs are shown as references, {"$output": …}. ${integersAsText}`,
  answers: { 200: { description: "The graph.", content: json("Workflow") } },
  handler: async ({ id, principal }, { ownJobs }: Own) => {
    const jobs = ownJobs(principal);
    const { workflow, inputs } = await foundParameters(jobs, await foundJob(jobs, id));
    const content = toClientJsonText(withOutputsShownInText(workflow, inputs));
    return { text: { mediaType: "json", content } };
  },
});

export const listOutputs = route({
  ...ofJob,
  id: "listOutputs",
  path: "jobs/:id/outputs",
  summary: "The outputs of a job",
  answers: { 200: { description: "Its outputs.", content: json("Outputs") } },
  handler: async ({ id, principal, baseUrl }, { ownJobs }: Own) => {
    const jobs = ownJobs(principal);
    const job = await foundJob(jobs, id);
    const views = (await jobs.listOutputs(job.id)).map((output) => viewOfOutput(output, baseUrl));
    return { json: { id: job.id, status: job.status, outputs: views } };
  },
});

export const listAttempts = route({
  ...ofJob,
  id: "listAttempts",
  path: "jobs/:id/attempts",
  summary: "Each execution of a job, with its failure",
  answers: { 200: { description: "Oldest first.", content: json("Attempts") } },
  handler: async ({ id, principal }, { ownJobs, jobDetails }: Parts) => {
    const jobs = ownJobs(principal);
    const job = await foundJob(jobs, id);
    const sight = await jobDetails.sightOf(principal);
    const views = (await jobs.listAttempts(job.id)).map((attempt) => viewOfAttempt(attempt, sight));
    return { json: { id: job.id, status: job.status, attempts: views } };
  },
});

const change = { tag: "change", method: "POST", access: "submit", subject: "job" } as const;

export const cancelJob = route({
  ...change,
  id: "cancelJob",
  path: "jobs/:id/cancel",
  summary: "Cancel a job",
  description: "The status of a running job becomes `cancelled` once its server has stopped the prompt.",
  answers: {
    202: {
      description: "The job is cancelled, or its worker was asked to cancel it.",
      content: json("JobDetail"),
    },
  },
  problems: ["job-not-found", "job-removed", "job-already-ended"],
  handler: async (asked, { jobCommands, jobDetails }: Changing) => {
    const { outcome, job } = await jobCommands(asked.principal).requestCancel(asked.id);
    if (outcome === "ended") {
      throw new RefusedError("job-already-ended", `The job is ${job.status} already.`);
    }
    return { json: await jobDetails.of(job, asked) };
  },
});

/** Problems of the body that names a priority. */
export const priorityProblems = [
  "missing-field",
  "invalid-field",
  "unknown-field",
  "invalid-request",
] as const;

const changedWaiting = {
  ...change,
  answers: { 200: { description: "The job as it is now.", content: json("JobDetail") } },
  problems: ["job-not-found", "job-removed", "job-running", "job-already-ended"],
} as const;

export const pauseJob = route({
  ...changedWaiting,
  id: "pauseJob",
  path: "jobs/:id/pause",
  summary: "Pause a job that waits",
  description: "It keeps its place among its tenant's jobs. `expiresAt` goes on counting.",
  handler: async (asked, { jobCommands, jobDetails }: Changing) => {
    return { json: await jobDetails.of(await jobCommands(asked.principal).pauseJob(asked.id), asked) };
  },
});

export const resumeJob = route({
  ...changedWaiting,
  id: "resumeJob",
  path: "jobs/:id/resume",
  summary: "Let a paused job wait for a server again",
  handler: async (asked, { jobCommands, jobDetails }: Changing) => {
    return { json: await jobDetails.of(await jobCommands(asked.principal).resumeJob(asked.id), asked) };
  },
});

export const changeJobPriority = route({
  ...changedWaiting,
  id: "changeJobPriority",
  path: "jobs/:id/priority",
  summary: "Change the priority of a job that waits",
  description: "The job goes to the end of its tenant's jobs of that priority.",
  body: jsonObject("NewPriority"),
  problems: [...changedWaiting.problems, ...priorityProblems],
  handler: async (asked, { jobCommands, jobDetails }: Changing) => {
    const job = await jobCommands(asked.principal).changePriorityOfJob(asked.id, asked.body.priority);
    return { json: await jobDetails.of(job, asked) };
  },
});

export const retryJob = route({
  ...change,
  id: "retryJob",
  path: "jobs/:id/retry",
  summary: "Try a job again that failed, timed out or was cancelled",
  description:
    "The secret part of `extraData` was erased when the job ended; a job that was submitted with one needs it again. " +
    "Jobs that failed because of this one, and of no other, are queued again with it.",
  body: retryBody,
  answers: { 202: { description: "The job is queued again.", content: json("JobDetail") } },
  problems: ["job-not-found", "job-removed", "illegal-transition", "needed-job-ended", ...retryProblems],
  handler: async (asked, { jobCommands, jobDetails }: Changing) => {
    const job = await jobCommands(asked.principal).retry(asked.id, asked.body);
    return { json: await jobDetails.of(job, asked) };
  },
});

export const removeJob = route({
  ...change,
  id: "removeJob",
  method: "DELETE",
  path: "jobs/:id",
  summary: "Remove an ended job with all that only it uses",
  answers: { 204: { description: "The job is removed; requests for it are answered with 410 from now on." } },
  problems: ["job-not-found", "job-removed", "job-not-ended", "illegal-transition", "storage-unavailable"],
  handler: async ({ id, principal }, { jobCommands }: Pick<ApiDependencies, "jobCommands">) => {
    await jobCommands(principal).remove(id);
    return {};
  },
});
