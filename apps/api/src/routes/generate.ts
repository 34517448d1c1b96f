import { isTerminal, type JobType, type Principal } from "@genga/jobs";
import { type Response } from "express";
import { z } from "zod";
import { type ApiDependencies } from "../dependencies.ts";
import { type ProblemCode } from "../http/problem-document.ts";
import { foundJob } from "../jobs/found-jobs.ts";
import { leftOrStopping, waitForEnd, waitPattern, waitSchema } from "../jobs/wait-for-end.ts";
import { jsonBytes } from "../routing/bodies.ts";
import { json, location } from "../routing/contents.ts";
import { type AnswerOf } from "../routing/reply.ts";
import { route } from "../routing/route.ts";
import {
  keyOf,
  replayed,
  replyOf,
  submissionHeaders,
  type SubmissionHeaders,
  type SubmissionReply,
} from "./submission-headers.ts";

/** Problems of jobs that are described by parameters. */
const problems: readonly ProblemCode[] = [
  ...([
    "invalid-request",
    "unknown-type",
    "missing-field",
    "out-of-bounds",
    "unknown-model",
    "unknown-label",
    "unknown-upload",
    "wrong-kind-of-file",
  ] as const),
  ...(["unknown-node-class", "misplaced-graph", "editor-format"] as const),
  ...(["unknown-job", "dependency-ended", "dependency-cycle", "secrets-key-missing"] as const),
  ...(["submission-interrupted", "request-under-way", "idempotency-key-reused", "job-removed"] as const),
];
/** Problems of routes that also take a raw graph. */
export const problemsWithGraphs: readonly ProblemCode[] = [
  ...problems,
  ...(["unknown-template", "forbidden-file", "denied-node-class", "invalid-graph"] as const),
];

const acceptedJob = {
  description: "The job is stored, and can be read by its id from now on.",
  content: json("AcceptedJob"),
  headers: { ...location, ...replayed },
};

const submission = {
  tag: "submit",
  method: "POST",
  access: "submit",
  submits: true,
  headers: submissionHeaders,
  query: z.object({
    wait: waitSchema.optional().meta({
      ...{ type: "string", pattern: waitPattern },
      description:
        "How long to wait for the end of the job, up to 2 minutes: 30s, 1500ms, 2m. If it has not ended then, or nothing can be " +
        "waited for, the answer is 202, as without this.",
    }),
  }),
  answers: {
    200: {
      description: "With `wait`: the job has ended.",
      content: json("JobDetail"),
      headers: { ...location, ...replayed },
    },
    202: acceptedJob,
  },
} as const;

type Parts = Pick<
  ApiDependencies,
  "submissions" | "ownJobs" | "jobDetails" | "admission" | "feed" | "stopping" | "log"
>;

interface Asked {
  headers: SubmissionHeaders;
  query: { wait?: number | undefined };
  body: Uint8Array<ArrayBuffer>;
  principal: Principal;
  baseUrl: string;
  response: Response;
}

type Answered =
  | (SubmissionReply & { status: 202 })
  | (Omit<SubmissionReply, "jsonBytes"> & { status: 200; json: AnswerOf<"JobDetail"> });

/** The job is accepted when the answer is sent. */
const acceptAs =
  (type?: JobType) =>
  async (asked: Asked, parts: Parts): Promise<Answered> => {
    const { body, headers, query, principal, baseUrl } = asked;
    const job = { kind: "job", type, body, ...keyOf(headers), principal, baseUrl } as const;
    const reply = replyOf(await parts.submissions.accept(job));
    const ended = query.wait === undefined ? null : await endOf(reply.location, query.wait, asked, parts);
    const { jsonBytes, ...others } = reply;
    return ended === null ? { status: 202, jsonBytes, ...others } : { status: 200, json: ended, ...others };
  };

/**
 * The job has been accepted, so whatever goes wrong from now on, the client is told so.
 * @returns the job as it has ended; `null` = it has not
 */
async function endOf(
  location: string,
  ms: number,
  asked: Asked,
  { ownJobs, jobDetails, admission, feed, stopping, log }: Parts,
): Promise<AnswerOf<"JobDetail"> | null> {
  try {
    await admission.openStream(asked.response);
    const jobs = ownJobs(asked.principal);
    const job = await foundJob(jobs, location.slice(location.lastIndexOf("/") + 1));
    const signal = leftOrStopping(asked.response, stopping);
    const ended = await waitForEnd(job, { feed, jobs }, { ms, signal });
    return isTerminal(ended.status) ? await jobDetails.of(ended, asked) : null;
  } catch (error) {
    log.info({ err: error, location }, "An accepted job could not be waited for.");
    return null;
  }
}

export const submitJob = route({
  ...submission,
  id: "submitJob",
  path: "generate",
  summary: "Submit a job",
  description:
    "Numbers of a workflow reach the server as they are written: integers of any size keep their digits, and `1.0` stays " +
    "a float. A client whose JSON cannot write an integer beyond 2^53−1 sends its digits as text.",
  body: jsonBytes("NewJob"),
  problems: problemsWithGraphs,
  handler: acceptAs(),
});

export const submitImage = route({
  ...submission,
  id: "submitImage",
  path: "generate/image",
  summary: "Submit an image job",
  body: jsonBytes("ImageJob"),
  problems,
  handler: acceptAs("image"),
});

export const submitVideo = route({
  ...submission,
  id: "submitVideo",
  path: "generate/video",
  summary: "Submit a video job",
  body: jsonBytes("VideoJob"),
  problems,
  handler: acceptAs("video"),
});

export const rerunProblems: readonly ProblemCode[] = [
  ...([
    "job-not-found",
    "job-removed",
    "extra-data-needed",
    "denied-node-class",
    "secrets-key-missing",
  ] as const),
  ...(["invalid-request", "invalid-field", "unknown-field", "missing-field", "out-of-bounds"] as const),
  ...(["unknown-model", "unknown-label", "unknown-upload", "unknown-node-class", "unknown-job"] as const),
  ...(["dependency-ended", "forbidden-file", "invalid-graph"] as const),
  ...(["submission-interrupted", "request-under-way", "idempotency-key-reused"] as const),
];

export const rerunJob = route({
  tag: "submit",
  method: "POST",
  access: "submit",
  submits: true,
  headers: submissionHeaders,
  id: "rerunJob",
  path: "jobs/:id/rerun",
  subject: "job",
  summary: "Make a job again, with changes if wanted",
  description:
    "A new job with the labels, priority and limits of the first one, which may have ended or not; `rerunOf` of the new job names it. " +
    "Without changes it has the same graph, seed included, and the same input files, also those of jobs that were removed since. It is " +
    "checked as every submission is; with changes, problems are named as if the whole job had been sent.",
  body: jsonBytes("RerunBody", [], { isOptional: true }),
  answers: { 202: acceptedJob },
  problems: rerunProblems,
  handler: async (
    { id, body, headers, principal, baseUrl },
    { submissions }: Pick<ApiDependencies, "submissions">,
  ) => {
    const job = { kind: "rerun", of: id, body, ...keyOf(headers), principal, baseUrl } as const;
    return replyOf(await submissions.accept(job));
  },
});
