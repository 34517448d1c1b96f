import {
  ExtraDataNeededError,
  IllegalTransitionError,
  isTerminal,
  mayBeRetried,
  type CancelResult,
  type Job,
  type SealForJob,
} from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { cancelQueued, noteRequests } from "./cancel-jobs.ts";
import { type PrismaClient } from "../../generated/client.ts";
import { type QueueLimit } from "../accepting/queue-room.ts";
import { findJob } from "../reading/find-jobs.ts";
import { restartJobs } from "./restart-jobs.ts";

/**
 * A queued job is cancelled at once. On a processing job the request is recorded for its worker, once. An ended job
 * does not change.
 */
export async function requestCancel(
  database: PrismaClient,
  id: string,
  by?: string,
): Promise<CancelResult | "removed" | null> {
  if (!isUuid(id)) return null;
  for (;;) {
    const [ended] = await cancelQueued(database, { jobId: id }, by);
    if (ended !== undefined) return { outcome: "cancelled", ...ended };
    const [noted] = await noteRequests(database, { jobId: id }, by);
    if (noted !== undefined) return { outcome: "requested", ...noted };
    const job = await findJob(database, id);
    if (job === null || job === "removed") return job;
    if (isTerminal(job.status)) return { outcome: "ended", job };
    if (job.cancelRequestedAt !== null) return { outcome: "requested", job, event: null };
    // The job was requeued or claimed between these statements, so they are tried again.
  }
}

/** Queues the job again at the end of its tenant's queue. Counters and the failure are cleared, the history stays. */
export async function retryJob(
  database: PrismaClient,
  id: string,
  limit: QueueLimit,
  seal: SealForJob | undefined,
  by: string | undefined,
): Promise<Job | "removed" | null> {
  const before = await findJob(database, id);
  if (before === null || before === "removed") return before;
  if (!mayBeRetried(before.status)) {
    throw new IllegalTransitionError(before.status, "queued");
  }
  const [needing] = await database.$queryRaw<unknown[]>`
    SELECT FROM jobs WHERE id = ${id}::uuid AND has_extra_data`;
  if (needing !== undefined && seal === undefined) throw new ExtraDataNeededError(1);
  const ended = { ...before, ...(seal !== undefined && { sealedExtraData: seal(before.id) }) };
  const [restarted] = await restartJobs(database, [ended], [before.status], { limit, by });
  if (restarted !== undefined) return restarted;
  const after = await findJob(database, id);
  if (after === null || after === "removed") return after;
  throw new IllegalTransitionError(after.status, "queued");
}
