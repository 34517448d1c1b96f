import { type FieldProblem, type Problem } from "./api-types.ts";

interface Refusal {
  /** The status of the answer; 0 = there was no answer. */
  status: number;
  code: string;
  title: string;
  detail: string;
  problems?: readonly FieldProblem[] | undefined;
  limit?: Problem["limit"] | undefined;
  /** The `instance` of the problem document; it holds the id of the request. */
  instance?: string | undefined;
  retryAfterMs?: number | undefined;
  cause?: unknown;
}

/** Codes of failures that no problem document names. */
export const ownCodes = {
  /** No answer arrived, or not all of it. */
  connectionFailed: "connection-failed",
  /** The answer is none of this API; perhaps a proxy wrote it. */
  unexpectedAnswer: "unexpected-answer",
  /** The content that arrived is not the content that was announced. */
  contentMismatch: "content-mismatch",
  /** The API key was revoked, or has expired, while a stream was open. */
  keyNotValid: "key-not-valid",
} as const;

/**
 * The API refused a request, or could not be reached. `code` is stable: it is the code of the problem document, or one of
 * `connection-failed`, `unexpected-answer`, `content-mismatch` and `key-not-valid`.
 */
export class GengaError extends Error {
  override readonly name = "GengaError";
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  /** Every problem that was found, with the place of each. */
  readonly problems: readonly FieldProblem[];
  /** The tenant's limit that was reached. */
  readonly limit: Problem["limit"];
  readonly instance: string | undefined;
  /** For how long the API asks to wait before the request is repeated. */
  readonly retryAfterMs: number | undefined;
  /** How often the request was sent. */
  attempts = 1;

  constructor(refusal: Refusal) {
    super(refusal.detail || refusal.title, { cause: refusal.cause });
    this.status = refusal.status;
    this.code = refusal.code;
    this.title = refusal.title;
    this.detail = refusal.detail;
    this.problems = refusal.problems ?? [];
    this.limit = refusal.limit;
    this.instance = refusal.instance;
    this.retryAfterMs = refusal.retryAfterMs;
  }

  /** The problems by the path of their field, such as `jobs.7.width` or `workflow.3.inputs.seed`. */
  get byField(): ReadonlyMap<string, readonly FieldProblem[]> {
    const fields = new Map<string, FieldProblem[]>();
    for (const problem of this.problems) {
      fields.set(problem.path, [...(fields.get(problem.path) ?? []), problem]);
    }
    return fields;
  }
}

/** The error that an answer with a status of 400 or more stands for. */
export function errorOfAnswer({ status, statusText, headers }: Response, body: string): GengaError {
  const retryAfterMs = retryAfterOf(headers);
  const problem = problemOf(body);
  if (problem !== undefined) return new GengaError({ ...problem, status, retryAfterMs });
  return new GengaError({
    ...{ status, retryAfterMs, code: ownCodes.unexpectedAnswer },
    title: `The answer is ${status} ${statusText}`.trim(),
    detail: body.slice(0, detailCharactersMax),
  });
}

const detailCharactersMax = 300;

export function connectionError(cause: unknown): GengaError {
  const title = "The API could not be reached, or its answer was cut off";
  return new GengaError({
    ...{ status: 0, code: ownCodes.connectionFailed, title, cause },
    detail: cause instanceof Error ? `${title}: ${innermostMessage(cause)}` : "",
  });
}

/** Node's fetch says "fetch failed", and why in its cause; where a name has several addresses, in the errors of that. */
function innermostMessage(error: Error): string {
  if (error.cause instanceof Error) return innermostMessage(error.cause);
  const [first] = error instanceof AggregateError ? (error.errors as unknown[]) : [];
  return first instanceof Error ? innermostMessage(first) : error.message;
}

function problemOf(body: string): Omit<Problem, "status"> | undefined {
  try {
    const parsed: unknown = JSON.parse(body);
    const isProblem =
      typeof parsed === "object" && parsed !== null && "code" in parsed && typeof parsed.code === "string";
    return isProblem ? (parsed as Problem) : undefined;
  } catch {
    return undefined; // HTML of a proxy, for example.
  }
}

/** Seconds, or a date. */
function retryAfterOf(headers: Headers): number | undefined {
  const said = headers.get("retry-after");
  if (said === null) return undefined;
  if (/^\d+$/.test(said)) return Number(said) * 1_000;
  const at = Date.parse(said);
  return Number.isNaN(at) ? undefined : Math.max(0, at - Date.now());
}
