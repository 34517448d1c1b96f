import { createHash } from "node:crypto";
import {
  ClaimLostError,
  StoreUnavailableError,
  type IdempotencyClaim,
  type IdempotencyStore,
  type JobReader,
  type KeyedRequest,
  type Principal,
  type Remarks,
} from "@genga/jobs";
import { RefusedError } from "../http/problem-document.ts";
import { type JobCommands } from "../submissions/job-commands.ts";
import { answerSubmission, type AcceptedSubmission, type Submission } from "./answer-submission.ts";
import { answerOfBatch, answerOfJob } from "./accepted-answer.ts";

export interface AnsweringParts {
  jobs: JobReader;
  idempotency: IdempotencyStore;
  jobCommands: (principal: Principal, traceparent?: string) => JobCommands;
}

/** The API that the keys of these requests belong to. */
const door = "anime";
/** How long a key stays with a request whose process has died. While it lives, it renews its claim. */
const claimMs = 10_000;
const renewEveryMs = 3_000;
const retryAfterSeconds = 1;

/**
 * Accepts a submission, unless its Idempotency-Key says that this was done already: then the answer is made anew from
 * the jobs that are there.
 * @throws RefusedError
 * @throws InvalidJobError
 * @throws LimitReachedError
 * @throws StoreUnavailableError
 */
export async function answerOnce(
  submission: Submission,
  { jobs, idempotency, jobCommands }: AnsweringParts,
): Promise<AcceptedSubmission> {
  const { idempotencyKey, principal } = submission;
  if (idempotencyKey === undefined) return answerSubmission(submission, jobCommands);
  const tenantId = principal.tenant.id;
  const key = { tenantId, door, keyHash: sha256(idempotencyKey) };
  const claimed = await beforeAnything(idempotency.claim(key, requestOf(submission), claimMs));
  switch (claimed.outcome) {
    case "under-way":
      throw underWay();
    case "other-request":
      throw new RefusedError(
        "idempotency-key-reused",
        "This Idempotency-Key came with another request before. Use a new key for a new request.",
      );
    case "accepted":
      return replay(submission, claimed, jobs);
    case "claimed":
      return acceptClaimed(submission, claimed.claim, { idempotency, jobCommands });
  }
}

/** Whatever fails here, no job was stored. */
async function beforeAnything<Result>(step: Promise<Result>): Promise<Result> {
  try {
    return await step;
  } catch (error) {
    if (!(error instanceof StoreUnavailableError)) throw error;
    const { cause, fault, wasRefused } = error;
    throw new StoreUnavailableError(cause, { fault, wasRefused, effect: "none" });
  }
}

async function acceptClaimed(
  submission: Submission,
  claim: IdempotencyClaim,
  { idempotency, jobCommands }: Pick<AnsweringParts, "idempotency" | "jobCommands">,
): Promise<AcceptedSubmission> {
  // A renewal that fails is followed by the next one. Without any the key may be lost, which the insert of the jobs notices.
  const renewals = setInterval(
    () => void idempotency.renew(claim, claimMs).catch(() => undefined),
    renewEveryMs,
  );
  try {
    const accepted = await answerSubmission(submission, jobCommands, claim);
    // A dry run leaves its key to the request that it prepares.
    if (accepted.isDryRun === true) await idempotency.release(claim).catch(() => undefined);
    return accepted;
  } catch (error) {
    // If PostgreSQL is away, the key is free again when the claim runs out.
    await idempotency.release(claim).catch(() => undefined);
    throw error instanceof ClaimLostError ? underWay() : error;
  } finally {
    clearInterval(renewals);
  }
}

/** The answer as it was at acceptance. */
async function replay(
  { principal, baseUrl, kind }: Submission,
  { resourceId, isRemoved, remarks }: { resourceId: string; isRemoved: boolean; remarks: Remarks },
  jobs: JobReader,
): Promise<AcceptedSubmission> {
  const own = jobs.of(principal.tenant.id);
  const isBatch = kind === "batch" || kind === "batch-rerun";
  const removed = new RefusedError(
    "job-removed",
    `This request was accepted before, as ${isBatch ? "batch" : "job"} ${resourceId}, which was removed since.`,
  );
  if (isRemoved) throw removed;
  if (!isBatch) {
    const job = await own.findJob(resourceId);
    if (job === null || job === "removed") throw removed;
    const prompts = await own.findPrompts([job.id]);
    return { ...answerOfJob(job, { prompts, baseUrl, remarks }), jobs: {}, isReplayed: true };
  }
  const [batch, ofBatch] = await Promise.all([own.findBatch(resourceId), own.listBatchJobs(resourceId)]);
  if (batch === null) throw removed;
  const prompts = await own.findPrompts(ofBatch.map(({ id }) => id));
  return {
    ...answerOfBatch({ ...batch, jobs: ofBatch }, { prompts, baseUrl, remarks }),
    jobs: {},
    isReplayed: true,
  };
}

function underWay(): RefusedError {
  return new RefusedError(
    "request-under-way",
    "A request with this Idempotency-Key has not been answered yet. Repeat this one in a moment.",
    { headers: { "retry-after": String(retryAfterSeconds) } },
  );
}

/** What makes two requests the same: where they went, and every byte of what they said. */
function requestOf(submission: Submission): KeyedRequest {
  return { route: routeOf(submission), bodyHash: sha256(submission.body) };
}

function routeOf(submission: Submission): string {
  switch (submission.kind) {
    case "job":
      return `job ${submission.type ?? ""}`;
    case "rerun":
      return `rerun ${submission.of}`;
    case "batch-rerun":
      return `batch-rerun ${submission.of}`;
    case "batch":
      return `batch ${submission.isLines ? "lines" : "list"} ${sha256(saidBeside(submission.fields))}`;
  }
}

/** Keys that were stored before the query could say more than the name stay what they are. */
function saidBeside({ name, ...options }: Readonly<Record<string, unknown>>): string {
  const text = typeof name === "string" ? name : "";
  return Object.keys(options).length === 0 ? text : JSON.stringify([text, options]);
}

function sha256(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}
