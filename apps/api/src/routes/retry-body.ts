import { type ProblemCode } from "../http/problem-document.ts";
import { jsonValue } from "../routing/bodies.ts";
import { readRetry } from "../submissions/submission-body.ts";

/** The body of a retry of one job, or of all jobs of a batch. */
export const retryBody = jsonValue("RetryBody", readRetry, { isOptional: true });
export const retryProblems: readonly ProblemCode[] = [
  ...(["extra-data-needed", "secrets-key-missing", "denied-node-class", "out-of-bounds"] as const),
];
