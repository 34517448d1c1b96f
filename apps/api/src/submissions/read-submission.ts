import { type JobProblem, type JobRequest } from "@genga/jobs";

/** A submission as far as it could be read, and the problems found so far. */
export interface ReadSubmission {
  /** Absent when the type, or the template, is not valid. */
  request: JobRequest | undefined;
  problems: JobProblem[];
}

export function notAnObject(body: unknown): JobProblem {
  const received = body === null ? "null" : Array.isArray(body) ? "a list" : typeof body;
  return {
    path: "",
    code: "wrong-type",
    message: "A JSON object is expected.",
    received,
    accepted: "object",
  };
}
