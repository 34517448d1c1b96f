import { answerExamples, bodyExamples } from "./examples.ts";
import { json, type Operation } from "./operation.ts";
import { type ProblemCode } from "../http/problem-document.ts";

const change = { tag: "change", method: "POST" } as const;
const changedJob = (description: string): Operation["answers"] => ({
  202: { description, content: json("JobDetail", answerExamples.JobDetail) },
});

const retryBody = { body: json("RetryBody", bodyExamples.RetryBody), isBodyOptional: true } as const;
const retryRefusals: readonly ProblemCode[] = [
  ...(["extra-data-needed", "secrets-key-missing", "denied-node-class", "out-of-bounds"] as const),
];

/** What is done to jobs that are there. */
export const changingOperations: readonly Operation[] = [
  {
    ...change,
    id: "cancelJob",
    path: "jobs/:id/cancel",
    summary: "Ask for a job's end",
    description: "Of a running job the status becomes `cancelled` when its server has let go.",
    answers: changedJob("The job has ended, or its worker was asked."),
    refusals: ["job-not-found", "job-removed", "job-already-ended"],
  },
  {
    ...change,
    id: "retryJob",
    path: "jobs/:id/retry",
    summary: "Try a job again that failed, timed out or was cancelled",
    description:
      "The secret part of `extraData` was erased when the job ended; a job that was submitted with one needs it again.",
    ...retryBody,
    answers: changedJob("The job is queued again."),
    refusals: ["job-not-found", "job-removed", "illegal-transition", ...retryRefusals],
  },
  {
    ...change,
    id: "cancelBatch",
    path: "batches/:id/cancel",
    summary: "Cancel whatever of a batch has not ended",
    answers: { 202: { description: "The batch as it is now.", content: json("CancelledBatch") } },
    refusals: ["batch-not-found"],
  },
  {
    ...change,
    id: "retryBatch",
    path: "batches/:id/retry",
    summary: "Try all failed and timed out jobs of a batch again",
    description: "Given `extraData` goes with those of its jobs that were submitted with secret extra data.",
    ...retryBody,
    answers: { 202: { description: "The batch as it is now.", content: json("RetriedBatch") } },
    refusals: ["batch-not-found", ...retryRefusals],
  },
  {
    id: "removeJob",
    tag: "change",
    method: "DELETE",
    path: "jobs/:id",
    summary: "Remove an ended job with all that only it uses",
    answers: { 204: { description: "It is gone, and answers 410 from now on." } },
    refusals: ["job-not-found", "job-removed", "job-not-ended", "illegal-transition", "storage-unavailable"],
  },
];
