import { type ProblemCode } from "../http/problem-document.ts";
import { jsonValue } from "../routing/bodies.ts";
import { readRetry } from "../submissions/submission-body.ts";

/** What a retry of a job, and of all jobs of a batch, takes. */
export const retryBody = jsonValue("RetryBody", readRetry, { isOptional: true });
export const retryProblems: readonly ProblemCode[] = [
  ...(["extra-data-needed", "secrets-key-missing", "denied-node-class", "out-of-bounds"] as const),
];
