import { tenantLimitNames, type JobProblem } from "@genga/jobs";
import { type Response } from "express";
import { z } from "zod";

/** The shape of every refusal (RFC 9457), with a stable `code` for programs. */
export const problemDocumentSchema = z.object({
  type: z.string().describe("Names the kind of problem; the same for every answer with this code."),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  instance: z.string().describe("The path that was asked for, and the id of the request."),
  code: z.string().describe("Stable, kebab-case."),
  problems: z
    .array(
      z.object({
        path: z
          .string()
          .describe("A parameter (`width`), a graph place (`workflow.3.inputs.seed`), or `jobs.7.width`."),
        code: z.string(),
        message: z.string(),
        nodeId: z.string().optional(),
        nodeTitle: z.string().optional(),
        input: z.string().optional(),
        received: z.unknown().optional(),
        accepted: z.unknown().optional(),
      }),
    )
    .optional()
    .describe("Every problem that was found, at most 100."),
  limit: z
    .object({
      name: z.enum(tenantLimitNames),
      max: z.int().describe("The limit itself."),
      used: z.int().describe("How much of it is in use."),
      wanted: z.int().describe("What this request would have added."),
    })
    .optional()
    .describe("With status 429: the limit of the tenant that was reached."),
});

/** Every code that the API answers with, its status and its title. */
const kinds = {
  "malformed-json": [400, "The body is not JSON"],
  "repeated-name": [400, "A name stands twice in one object"],
  "bad-request": [400, "The request makes no sense"],
  "key-missing": [401, "An API key is needed"],
  "key-unknown": [401, "The API key is not known"],
  "session-ended": [401, "The session has ended"],
  "host-not-allowed": [403, "This host name is not allowed"],
  "origin-not-allowed": [403, "This origin is not allowed"],
  "role-too-low": [403, "The role of the API key does not allow this"],
  "link-not-valid": [403, "The link is not valid"],
  "path-not-found": [404, "There is nothing at this path"],
  "job-not-found": [404, "There is no such job"],
  "batch-not-found": [404, "There is no such batch"],
  "no-thumbnail": [404, "There is no thumbnail of this output"],
  "output-not-found": [404, "There is no such output"],
  "upload-not-found": [404, "There is no such upload"],
  "asset-not-found": [404, "There is no such asset"],
  "content-not-found": [404, "There is no such content"],
  "key-not-found": [404, "There is no such key"],
  "session-not-found": [404, "There is no such session"],
  "server-not-found": [404, "There is no such server"],
  "webhook-not-found": [404, "There is no such webhook"],
  "webhook-delivery-not-found": [404, "There is no such delivery"],
  "lane-not-found": [404, "There is no such lane"],
  "template-not-found": [404, "There is no such template"],
  "tenant-not-found": [404, "There is no such tenant"],
  "method-not-allowed": [405, "This method is not possible here"],
  "request-timeout": [408, "The request took too long"],
  "request-under-way": [409, "The same request is under way"],
  "template-name-taken": [409, "Another template has this name"],
  "template-built-in": [409, "The template is built in"],
  "key-name-taken": [409, "Another key has this name"],
  "too-many-webhooks": [409, "The tenant has as many webhooks as it may have"],
  "webhook-disabled": [409, "The webhook is disabled"],
  "server-exists": [409, "A source names the server already"],
  "too-many-servers": [409, "As many servers were added as may be"],
  "asset-in-use": [409, "The asset is in use"],
  "hash-mismatch": [409, "The content has another hash"],
  "server-in-use": [409, "The server is in use"],
  "job-already-ended": [409, "The job has ended"],
  "batch-already-ended": [409, "All jobs of the batch have ended"],
  "job-running": [409, "The job runs already"],
  "job-not-ended": [409, "The job has not ended"],
  "illegal-transition": [409, "The job cannot change in that way"],
  "needed-job-ended": [409, "A job that this one depends on has ended without success"],
  "extra-data-needed": [409, "The retry needs extraData again"],
  "batch-not-ended": [409, "Jobs of the batch have not ended"],
  "link-expired": [410, "The link has expired"],
  "batch-removed": [410, "The batch was removed"],
  "template-archived": [410, "The template was archived"],
  "job-removed": [410, "The job was removed"],
  "body-too-large": [413, "The body is too large"],
  "unsupported-media-type": [415, "The body is not in a form that is understood"],
  "range-not-satisfiable": [416, "The range is outside of the file"],
  "limit-reached": [429, "A limit of the tenant is reached"],
  "too-many-wrong-keys": [429, "Too many wrong keys came from this address"],
  "headers-too-large": [431, "The head of the request is too large"],
  "idempotency-key-reused": [422, "The Idempotency-Key came with another request"],
  "invalid-request": [422, "Several things in the request are not valid"],
  "unknown-type": [422, "The type of job is unknown"],
  "unknown-field": [422, "A field is unknown"],
  "missing-field": [422, "A field is missing"],
  "invalid-field": [422, "A field is not valid"],
  "out-of-bounds": [422, "A field is out of bounds"],
  "too-many-outputs": [422, "There are too many outputs for one zip"],
  "search-too-broad": [422, "The search takes too long"],
  "unknown-label": [422, "No known server has these labels"],
  "unknown-model": [422, "No known server has this model"],
  "unknown-upload": [422, "There is no such upload"],
  "unknown-template": [422, "There is no such template"],
  "unknown-target": [422, "A parameter goes to an input that the graph does not have"],
  "too-many-templates": [422, "There are as many templates as there may be"],
  "unknown-job": [422, "There is no such job to depend on"],
  "dependency-ended": [422, "A job to depend on has ended without success"],
  "dependency-cycle": [422, "Jobs depend on each other"],
  "duplicate-key": [422, "Two jobs of a batch have one key"],
  "forbidden-file": [422, "The graph names a file that it may not name"],
  "invalid-image": [422, "The image cannot be used"],
  "invalid-video": [422, "The video cannot be used"],
  "wrong-kind-of-file": [422, "A file is of a kind that cannot be used there"],
  "unknown-node-class": [422, "No known server has this node"],
  "denied-node-class": [422, "The graph has a node that is denied here"],
  "invalid-graph": [422, "The graph is not valid"],
  "misplaced-graph": [422, "The graph is not where it belongs"],
  "editor-format": [422, "The graph is in the editor's own format"],
  "secrets-key-missing": [422, "SECRETS_KEY is not set here"],
  "too-many-thumbnails": [503, "Too many thumbnails wait to be drawn"],
  "too-many-streams": [503, "Too many event streams are open"],
  "too-many-bodies": [503, "Too many bodies are being read"],
  "submission-interrupted": [503, "The submission was interrupted"],
  "store-unavailable": [503, "The database cannot answer now"],
  "storage-unavailable": [503, "The storage of outputs is not reachable"],
  "internal-error": [500, "Something went wrong here"],
} as const satisfies Record<string, readonly [status: number, title: string]>;

export type ProblemCode = keyof typeof kinds;
export const problemCodes = Object.keys(kinds) as ProblemCode[];
/** Of requests of the Comfy API v2 only, which tells them in words of its own (`error-envelope.ts`). */
export const comfyProblemCodes: readonly ProblemCode[] = [
  ...(["asset-not-found", "content-not-found", "asset-in-use", "hash-mismatch"] as const),
];

/** Thrown by a route to refuse a request. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";
  readonly code: ProblemCode;
  readonly problems: JobProblem[] | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly limit: z.infer<typeof problemDocumentSchema>["limit"];

  constructor(
    code: ProblemCode,
    detail: string,
    more: {
      problems?: JobProblem[];
      headers?: Record<string, string>;
      limit?: z.infer<typeof problemDocumentSchema>["limit"];
      cause?: unknown;
    } = {},
  ) {
    super(detail, { cause: more.cause });
    this.code = code;
    this.problems = more.problems;
    this.headers = more.headers ?? {};
    this.limit = more.limit;
  }
}

export function statusOf(code: ProblemCode): number {
  return kinds[code][0];
}

export function titleOf(code: ProblemCode): string {
  return kinds[code][1];
}

/** @param instance the path of the request, without its query, which may hold a prompt */
export function problemDocumentOf(
  refusal: RefusedError,
  instance: string,
): z.infer<typeof problemDocumentSchema> {
  const [status, title] = kinds[refusal.code];
  return {
    type: `urn:genga:problem:${refusal.code}`,
    title,
    status,
    detail: refusal.message,
    instance,
    code: refusal.code,
    ...(refusal.problems === undefined ? {} : { problems: refusal.problems.slice(0, 100) }),
    ...(refusal.limit === undefined ? {} : { limit: refusal.limit }),
  };
}

/** @param instance as in `problemDocumentOf` */
export function sendProblem(response: Response, refusal: RefusedError, instance: string): void {
  const document = problemDocumentOf(refusal, instance);
  response.set({ "cache-control": "no-store", ...refusal.headers });
  response.status(document.status).type("application/problem+json").send(JSON.stringify(document));
}
