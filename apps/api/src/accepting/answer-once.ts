import {
  type IdempotencyClaim,
  type IdempotencyStore,
  type JobReader,
  type KeyedRequest,
  type Principal,
  type Remarks,
} from "@genga/jobs";
import { RefusedError } from "../http/problem-document.ts";
import { type JobCommands } from "../submissions/job-commands.ts";
import { beforeAnything, claimMs, claimSingleUse, holdClaim, sha256, underWay } from "./hold-claim.ts";
import { answerSubmission, type AcceptedSubmission, type Submission } from "./answer-submission.ts";
import { answerOfBatch, answerOfJob, answerOfPrompt } from "./accepted-answer.ts";
import { acceptPrompt, type PromptParts } from "../comfyui-door/accept-prompt.ts";

export interface AnsweringParts {
  jobs: JobReader;
  idempotency: IdempotencyStore;
  jobCommands: (principal: Principal, traceparent?: string) => JobCommands;
  prompts: PromptParts;
}

/** A submission that may bring an Idempotency-Key; a prompt has its id instead. */
type KeyedSubmission = Exclude<Submission, { kind: "prompt" }>;

/** The API that the keys of these requests belong to. */
const door = "anime";

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
  { jobs, idempotency, jobCommands, prompts }: AnsweringParts,
): Promise<AcceptedSubmission> {
  if (submission.kind === "prompt") return await answerPrompt(submission, jobCommands, prompts);
  const { idempotencyKey, principal } = submission;
  if (idempotencyKey === undefined) return answerSubmission(submission, jobCommands);
  const tenantId = principal.tenant.id;
  if (submission.kind === "comfy-job") {
    const claim = await claimSingleUse(idempotency, { tenantId, key: idempotencyKey, route: "jobs" });
    return await acceptClaimed(submission, claim, { idempotency, jobCommands });
  }
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

async function answerPrompt(
  { body, principal, traceparent }: Submission,
  jobCommands: AnsweringParts["jobCommands"],
  parts: PromptParts,
): Promise<AcceptedSubmission> {
  return answerOfPrompt(await acceptPrompt(body, principal, jobCommands(principal, traceparent), parts));
}

async function acceptClaimed(
  submission: KeyedSubmission,
  claim: IdempotencyClaim,
  { idempotency, jobCommands }: Pick<AnsweringParts, "idempotency" | "jobCommands">,
): Promise<AcceptedSubmission> {
  return await holdClaim(idempotency, claim, async () => {
    const accepted = await answerSubmission(submission, jobCommands, claim);
    // A dry run leaves its key to the request that it prepares.
    if (accepted.isDryRun === true) await idempotency.release(claim).catch(() => undefined);
    return accepted;
  });
}

/** The answer as it was at acceptance. */
async function replay(
  { principal, baseUrl, kind }: KeyedSubmission,
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

/** What makes two requests the same: where they went, and every byte of what they said. */
function requestOf(submission: KeyedSubmission): KeyedRequest {
  return { route: routeOf(submission), bodyHash: sha256(submission.body) };
}

function routeOf(submission: KeyedSubmission): string {
  switch (submission.kind) {
    case "job":
      return `job ${submission.type ?? ""}`;
    case "rerun":
      return `rerun ${submission.of}`;
    case "comfy-job":
      return "comfy-job";
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
