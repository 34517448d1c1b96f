import { type BatchCancelResult, ExtraDataNeededError, type Job, type SealForJob } from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { cancelQueued, noteRequests } from "./cancel-jobs.ts";
import { type PrismaClient } from "../../generated/client.ts";
import { dropNotesOf, passOnNow } from "../dependencies/pass-on-ends.ts";
import { type QueueLimit } from "../accepting/queue-room.ts";
import { restartJobs } from "./restart-jobs.ts";
import { restartWithDependents } from "./restart-with-dependents.ts";

/**
 * Cancels the queued jobs of a batch, and records the request on the processing ones, once. These are two statements,
 * because one that locks rows of both statuses could meet a row that changes from one to the other meanwhile. Jobs that
 * were claimed or requeued between the two statements are found by the next round.
 */
export async function cancelBatch(
  database: PrismaClient,
  batchId: string,
  by?: string,
): Promise<BatchCancelResult> {
  const result: BatchCancelResult = {
    ...{ cancelled: [], requested: [] },
    passedOn: { released: [], failed: [] },
  };
  if (!isUuid(batchId)) return result;
  const needed: string[] = [];
  do {
    for (const { job, event, hasDependents } of await cancelQueued(database, { batchId }, by)) {
      result.cancelled.push({ job, event });
      if (hasDependents) needed.push(job.id);
    }
    result.requested.push(...(await noteRequests(database, { batchId }, by)));
  } while (await hasUnasked(database, batchId));
  // Mostly the dependents were in the batch, and are cancelled, too.
  await dropNotesOf(database, needed);
  return { ...result, passedOn: await passOnNow(database, needed) };
}

/** Whether any job of the batch is still active without a cancel request. */
async function hasUnasked(database: PrismaClient, batchId: string): Promise<boolean> {
  const unasked = await database.job.findFirst({
    where: { batchId, status: { in: ["queued", "processing"] }, cancelRequestedAt: null },
    select: { id: true },
  });
  return unasked !== null;
}

/** Queues all failed and timed out jobs of the batch again, at the end of their tenant's queue. */
export async function retryBatch(
  database: PrismaClient,
  batchId: string,
  limit: QueueLimit,
  seal: SealForJob | undefined,
  by: string | undefined,
): Promise<Job[]> {
  if (!isUuid(batchId)) return [];
  const ended = await database.job.findMany({
    where: { batchId, status: { in: ["failed", "timeout"] } },
    select: {
      ...{ id: true, tenantId: true, priority: true, lane: true, hasExtraData: true },
      ...{ hasDependents: true, openDependencies: true },
    },
    orderBy: { batchIndex: "asc" },
  });
  const needing = ended.filter(({ hasExtraData }) => hasExtraData).length;
  if (needing > 0 && seal === undefined) throw new ExtraDataNeededError(needing);
  const jobs = ended.map(({ id, tenantId, priority, lane, hasExtraData }) => ({
    ...{ id, tenantId, priority, lane },
    ...(hasExtraData && seal !== undefined && { sealedExtraData: seal(id) }),
  }));
  const isLinked = ended.some((job) => job.hasDependents || job.openDependencies > 0);
  return isLinked
    ? await restartWithDependents(database, jobs, ["failed", "timeout"], { limit, by, mustRestart: false })
    : await restartJobs(database, jobs, ["failed", "timeout"], { limit, by });
}
