import { type Job, type JobPrompt, type Principal } from "@genga/jobs";
import { type ApiDependencies } from "../dependencies.ts";
import { type ProblemCode } from "../http/problem-document.ts";
import { linksOfJob } from "../jobs/job-view.ts";
import { jsonValue } from "../routing/bodies.ts";
import { json, location, type Answer } from "../routing/contents.ts";
import { route, type Reply } from "../routing/route.ts";
import { readSubmission, type ReadSubmission } from "../submissions/submission-body.ts";

/** Problems of jobs that are described by parameters. */
const problems: readonly ProblemCode[] = [
  ...([
    "invalid-request",
    "unknown-type",
    "missing-field",
    "out-of-bounds",
    "unknown-model",
    "unknown-upload",
  ] as const),
  ...(["unknown-node-class", "misplaced-graph", "editor-format"] as const),
];
/** Problems of routes that also take a raw graph. */
export const problemsWithGraphs: readonly ProblemCode[] = [
  ...problems,
  ...(["forbidden-file", "denied-node-class", "secrets-key-missing", "invalid-graph"] as const),
];

const acceptedJob: Answer = {
  description: "The job is stored, and can be read by its id from now on.",
  content: json("AcceptedJob"),
  headers: location,
};

const submission = {
  tag: "submit",
  method: "POST",
  access: "submit",
  answers: { 202: acceptedJob },
} as const;

export const submitJob = route({
  ...submission,
  id: "submitJob",
  path: "generate",
  summary: "Submit a job",
  description:
    "Numbers of a workflow reach the server as they are written: integers of any size keep their digits, and `1.0` stays " +
    "a float. A client whose JSON cannot write an integer beyond 2^53−1 sends its digits as text.",
  body: jsonValue("NewJob", (body) => readSubmission(body)),
  problems: problemsWithGraphs,
  handler: accept,
});

export const submitImage = route({
  ...submission,
  id: "submitImage",
  path: "generate/image",
  summary: "Submit an image job",
  body: jsonValue("ImageJob", (body) => readSubmission(body, "image")),
  problems,
  handler: accept,
});

export const submitVideo = route({
  ...submission,
  id: "submitVideo",
  path: "generate/video",
  summary: "Submit a video job",
  body: jsonValue("VideoJob", (body) => readSubmission(body, "video")),
  problems,
  handler: accept,
});

/** Stores the job; when this returns, the job is accepted. */
async function accept(
  { body, principal, baseUrl }: { body: ReadSubmission; principal: Principal; baseUrl: string },
  { jobCommands, metrics }: Pick<ApiDependencies, "jobCommands" | "metrics">,
): Promise<Reply> {
  const { job, prompt, ...remarks } = await jobCommands(principal).create(body);
  metrics.jobsAccepted.inc({ type: job.type });
  const accepted = viewOfAccepted(job, prompt, baseUrl);
  return { location: accepted.links["self"] ?? "", json: { ...accepted, ...remarks } };
}

/** The body of the answer to an accepted submission. */
export function viewOfAccepted(
  job: Job,
  prompt: JobPrompt | undefined,
  baseUrl: string,
): Pick<Job, "id" | "status"> & JobPrompt & { links: Record<string, string> } {
  const { id, status } = job;
  return {
    ...{ id, status, prompt: prompt?.prompt ?? null, negativePrompt: prompt?.negativePrompt ?? null },
    links: linksOfJob(job, baseUrl),
  };
}
