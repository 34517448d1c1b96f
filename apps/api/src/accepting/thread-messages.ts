import { type NotChecked } from "@genga/comfyui";
import { type JobProblem } from "@genga/jobs";
import { type ServiceConfiguration } from "@genga/runtime";
import { type ProblemCode, type RefusedError } from "../http/problem-document.ts";
import { type AcceptedSubmission, type Submission } from "./answer-submission.ts";

/** What the thread for large submissions is started with. */
export interface ThreadSettings {
  settings: ServiceConfiguration;
  defaultTenantId: string;
  serversMaxAgeMs: number;
}

/** What the thread is asked for: an answer to a submission, or its end. */
export type ThreadTask = { kind: "answer"; submission: Submission } | { kind: "end" };

export type ThreadReply =
  | ({ kind: "accepted"; notChecked: NotCheckedSummary } & AcceptedSubmission)
  | ({ kind: "refused" } & Refusal)
  | { kind: "ended" };

/** How many inputs were not checked, and one of each node class. */
export interface NotCheckedSummary {
  count: number;
  ofClasses: NotChecked[];
}

/** A `RefusedError` as it crosses a thread's border. */
export interface Refusal {
  code: ProblemCode;
  detail: string;
  problems: JobProblem[] | undefined;
  headers: Readonly<Record<string, string>>;
  limit: RefusedError["limit"];
  /** What the log says of the cause. */
  cause: string | undefined;
}
