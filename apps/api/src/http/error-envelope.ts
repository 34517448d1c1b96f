import { type JobProblem } from "@genga/jobs";
import { type Response } from "express";
import { statusOf, type ProblemCode, type RefusedError } from "./problem-document.ts";

/** The statuses and codes of the Comfy API v2, by the refusal that they stand for. */
const kinds: Partial<Record<ProblemCode, readonly [status: number, code: string]>> = {
  "content-not-found": [404, "blob_not_found"],
  "method-not-allowed": [405, "method_not_allowed"],
  "hash-mismatch": [409, "hash_mismatch"],
  "asset-in-use": [409, "asset_in_use"],
  "body-too-large": [413, "payload_too_large"],
  "range-not-satisfiable": [416, "range_not_satisfiable"],
  "idempotency-key-reused": [422, "idempotency_key_reuse"],
  "request-under-way": [422, "idempotency_key_reuse"],
  "editor-format": [422, "workflow_format_ui"],
  "too-many-bodies": [429, "rate_limited"],
  "too-many-streams": [429, "too_many_streams"],
};

/** Of problems with these codes, the answer has a code of its own. */
const codesOfProblems: Readonly<Record<string, string>> = {
  "missing-asset": "missing_asset",
  // An upload that was removed while the job was stored, or a name of one that there never was.
  "unknown-upload": "missing_asset",
  "metadata-not-supported": "metadata_not_supported",
};

/** Statuses that the contract has no words for; the rest of 400 to 499 is a request that is not valid. */
const codesByStatus: Readonly<Record<number, string>> = {
  401: "unauthorized",
  403: "forbidden",
  404: "not_found",
  410: "not_found",
  429: "rate_limited",
};

/** What the service itself could not do is told without details; the log has them under the request's id. */
/** … except whether the request may have taken effect. */
const effectCodes: ReadonlySet<ProblemCode> = new Set(["store-unavailable", "submission-interrupted"]);
const upstreamMessage = "The service cannot handle the request right now; try again in a moment.";

interface ErrorEnvelope {
  error: { code: string; message: string; details?: Record<string, unknown> };
}

/** A refusal as the Comfy API v2 has it. */
export function envelopeOf(refusal: RefusedError): { status: number; envelope: ErrorEnvelope } {
  const [status, code] = kindOf(refusal);
  const message = status >= 500 && !effectCodes.has(refusal.code) ? upstreamMessage : refusal.message;
  const details = status >= 500 ? {} : detailsOf(refusal);
  const hasDetails = Object.keys(details).length > 0;
  return { status, envelope: { error: { code, message, ...(hasDetails && { details }) } } };
}

export function sendEnvelope(response: Response, refusal: RefusedError): void {
  const { status, envelope } = envelopeOf(refusal);
  response.set({ "cache-control": "no-store", ...refusal.headers });
  response.status(status).json(envelope);
}

function kindOf({ code, problems = [], limit }: RefusedError): readonly [status: number, code: string] {
  const known = kinds[code];
  if (known !== undefined) return known;
  const status = statusOf(code);
  if (status >= 500) return [500, "upstream_error"];
  if (limit?.name === "jobs-queued") return [429, "queue_full"];
  if (limit?.name === "event-streams") return [429, "too_many_streams"];
  const ofStatus = codesByStatus[status];
  if (ofStatus !== undefined) return [status === 410 ? 404 : status, ofStatus];
  if (status === 408 || status === 409 || status === 431) return [status, "invalid_request"];
  const ofProblem = problems.flatMap((problem) => codesOfProblems[problem.code] ?? [])[0];
  return [422, ofProblem ?? (problems.some(isAboutWorkflow) ? "invalid_workflow" : "invalid_request")];
}

function isAboutWorkflow({ path, nodeId }: JobProblem): boolean {
  return nodeId !== undefined || path === "workflow" || path.startsWith("workflow.");
}

/** What is wrong with each node, and with everything else. */
function detailsOf({ problems = [], limit }: RefusedError): Record<string, unknown> {
  const nodeErrors: Record<string, object[]> = Object.create(null) as Record<string, object[]>;
  const others: object[] = [];
  for (const { path, code, message, nodeId, input } of problems.slice(0, 100)) {
    const reason = code.replaceAll("-", "_");
    if (nodeId === undefined) others.push({ field: path, reason, message });
    else (nodeErrors[nodeId] ??= []).push({ field: input ?? null, reason, message });
  }
  return {
    ...(Object.keys(nodeErrors).length > 0 && { node_errors: nodeErrors }),
    ...(others.length > 0 && { problems: others }),
    ...(limit !== undefined && { limit }),
  };
}
