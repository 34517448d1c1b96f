import {
  type BatchCancelResult,
  ExtraDataNeededError,
  type Job,
  type JobEvent,
  type SealForJob,
} from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { changedBy } from "./changed-by.ts";
import { type PrismaClient } from "../../generated/client.ts";
import { jobColumns, jobWithEventFromRow, type JobWithEventRow } from "../job-rows.ts";
import { type QueueLimit } from "../accepting/queue-room.ts";
import { restartJobs } from "./restart-jobs.ts";

/**
 * Queued jobs end, processing ones get the request noted, once. A statement for each: one that locks rows of both states
 * could meet a row that changes from one to the other meanwhile. Jobs that slipped through between the two, claimed or
 * requeued, are found by the next round.
 *
 * The rows are not joined with their events: PostgreSQL cannot know how many they are, and would compare each with each.
 */
export async function cancelBatch(
  database: PrismaClient,
  batchId: string,
  by?: string,
): Promise<BatchCancelResult> {
  const result: BatchCancelResult = { cancelled: [], requested: [] };
  if (!isUuid(batchId)) return result;
  do {
    result.cancelled.push(...(await cancelQueued(database, batchId, by)));
    result.requested.push(...(await noteRequests(database, batchId, by)));
  } while (await hasUnasked(database, batchId));
  return result;
}

async function cancelQueued(
  database: PrismaClient,
  batchId: string,
  by: string | undefined,
): Promise<{ job: Job; event: JobEvent }[]> {
  const rows = await database.$queryRaw<JobWithEventRow[]>`
    WITH held AS (
      SELECT id FROM jobs WHERE batch_id = ${batchId}::uuid AND status = 'queued'
      ORDER BY id FOR NO KEY UPDATE
    ), job AS (
      UPDATE jobs SET status = 'cancelled', phase = NULL, cancel_requested_at = now(), finished_at = now(),
        run_at = NULL, avoid_server_id = NULL, failure_class = NULL, failure_code = NULL, failure_message = NULL,
        failure_node_id = NULL, failure_node_type = NULL, event_sequence = event_sequence + 1
      FROM held WHERE jobs.id = held.id
      RETURNING jobs.*, clock_timestamp()::timestamptz(3) AS event_at
    ), event AS (
      INSERT INTO job_events (job_id, sequence, type, attempt, data, created_at)
      SELECT id, event_sequence, 'cancelled', attempt, ${changedBy(by)}, event_at FROM job
    )
    SELECT ${jobColumns}, 'cancelled' AS "eventType", ${changedBy(by)} AS "eventData", job.event_at AS "eventAt"
    FROM job ORDER BY job.id`;
  return rows.map(jobWithEventFromRow);
}

async function noteRequests(
  database: PrismaClient,
  batchId: string,
  by: string | undefined,
): Promise<{ job: Job; event: JobEvent }[]> {
  const rows = await database.$queryRaw<JobWithEventRow[]>`
    WITH held AS (
      SELECT id FROM jobs
      WHERE batch_id = ${batchId}::uuid AND status = 'processing' AND cancel_requested_at IS NULL
      ORDER BY id FOR NO KEY UPDATE
    ), job AS (
      UPDATE jobs SET cancel_requested_at = now(), event_sequence = event_sequence + 1
      FROM held WHERE jobs.id = held.id
      RETURNING jobs.*, clock_timestamp()::timestamptz(3) AS event_at
    ), event AS (
      INSERT INTO job_events (job_id, sequence, type, attempt, data, created_at)
      SELECT id, event_sequence, 'cancel_requested', attempt, ${changedBy(by)}, event_at FROM job
    )
    SELECT ${jobColumns}, 'cancel_requested' AS "eventType", ${changedBy(by)} AS "eventData", job.event_at AS "eventAt"
    FROM job ORDER BY job.id`;
  return rows.map(jobWithEventFromRow);
}

/** Whether any job of the batch may still go on without knowing of a request. */
async function hasUnasked(database: PrismaClient, batchId: string): Promise<boolean> {
  const unasked = await database.job.findFirst({
    where: { batchId, status: { in: ["queued", "processing"] }, cancelRequestedAt: null },
    select: { id: true },
  });
  return unasked !== null;
}

/** All failed and timed out jobs of the batch start anew, at the end of their tenant's queue. */
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
    select: { id: true, tenantId: true, priority: true, hasExtraData: true },
    orderBy: { batchIndex: "asc" },
  });
  const needing = ended.filter(({ hasExtraData }) => hasExtraData).length;
  if (needing > 0 && seal === undefined) throw new ExtraDataNeededError(needing);
  const jobs = ended.map(({ hasExtraData, ...job }) => ({
    ...job,
    ...(hasExtraData && seal !== undefined && { sealedExtraData: seal(job.id) }),
  }));
  return await restartJobs(database, jobs, ["failed", "timeout"], { limit, by });
}
