import { jobStatuses, type Batch, type BatchFilter, type Job, type JobStatus, type Page } from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { isStorable } from "../../connection/stored-json.ts";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { jobColumns, jobFromRow, type JobRow } from "../job-rows.ts";
import { decodeCursor, encodeCursor } from "./job-cursor.ts";

interface BatchRow extends Omit<Batch, "counts" | "percent"> {
  ended: Partial<Record<JobStatus, number>> | null;
  removed: number;
  processing: number;
  /** The sum of the running jobs' percentages. */
  runningPercent: number;
}

export async function findBatch(database: PrismaClient, tenantId: string, id: string): Promise<Batch | null> {
  if (!isUuid(id)) return null;
  const [row] = await database.$queryRaw<BatchRow[]>(
    batchStatement(
      Prisma.sql`SELECT * FROM batches WHERE id = ${id}::uuid AND tenant_id = ${tenantId}::uuid`,
    ),
  );
  return row === undefined ? null : batchFromRow(row);
}

/** Whether the batch was the tenant's, and went with its last job. */
export async function isBatchRemoved(database: PrismaClient, tenantId: string, id: string): Promise<boolean> {
  return isUuid(id) && (await database.removedBatch.findUnique({ where: { id, tenantId } })) !== null;
}

/** Newest first, by id, since ids contain their time. @throws InvalidJobError for a cursor that came from no page */
export async function listBatches(
  database: PrismaClient,
  tenantId: string,
  { project, scene, shot, tag, cursor, limit }: BatchFilter,
): Promise<Page<Batch>> {
  if ([project, scene, shot, tag].some((value) => value !== undefined && !isStorable(value))) {
    return { items: [], nextCursor: null };
  }
  const conditions: Prisma.Sql[] = [Prisma.sql`tenant_id = ${tenantId}::uuid`];
  if (cursor !== undefined) conditions.push(Prisma.sql`id < ${decodeCursor(cursor)}::uuid`);
  if (project !== undefined) conditions.push(Prisma.sql`project = ${project}`);
  if (scene !== undefined) conditions.push(Prisma.sql`scene = ${scene}`);
  if (shot !== undefined) conditions.push(Prisma.sql`shot = ${shot}`);
  if (tag !== undefined) conditions.push(Prisma.sql`tags @> ARRAY[${tag}]::text[]`);
  const rows = await database.$queryRaw<BatchRow[]>(
    batchStatement(Prisma.sql`
      SELECT * FROM batches WHERE ${Prisma.join(conditions, " AND ")} ORDER BY id DESC LIMIT ${limit + 1}`),
  );
  const items = rows.slice(0, limit).map(batchFromRow);
  const last = rows.length > limit ? items.at(-1) : undefined;
  return { items, nextCursor: last === undefined ? null : encodeCursor(last.id) };
}

/** Exported for the test of its plan: a few rows for each batch, however many jobs it has: only its running jobs, which are few, are counted here. */
export function batchStatement(found: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`
    SELECT batch.id, batch.tenant_id AS "tenantId", batch.name, batch.project, batch.scene, batch.shot, batch.tags,
      batch.paused_at AS "pausedAt", batch.created_at AS "createdAt", batch.total,
      ended.counts AS ended, ended.removed, running.jobs AS processing, running.percent AS "runningPercent"
    FROM (${found}) batch
    CROSS JOIN LATERAL (
      SELECT jsonb_object_agg(status, jobs) AS counts, coalesce(sum(removed), 0)::int AS removed FROM (
        SELECT status, sum(jobs) AS jobs, sum(removed) AS removed FROM (
          SELECT status, jobs, removed FROM batch_job_counts WHERE batch_id = batch.id
          UNION ALL
          SELECT status, jobs, removed FROM ended_job_changes WHERE batch_id = batch.id
        ) change GROUP BY status
      ) of_status
    ) ended
    CROSS JOIN LATERAL (
      SELECT count(*)::int AS jobs, coalesce(sum(percent), 0)::float8 AS percent FROM jobs
      WHERE batch_id = batch.id AND finished_at IS NULL AND status = 'processing'
    ) running
    ORDER BY batch.id DESC`;
}

/** What neither runs, nor has ended, nor was removed, waits. */
function batchFromRow({ ended, removed, processing, runningPercent, ...batch }: BatchRow): Batch {
  const counts = Object.fromEntries(jobStatuses.map((status) => [status, ended?.[status] ?? 0])) as Record<
    JobStatus,
    number
  >;
  const done = Object.values(counts).reduce((sum, count) => sum + count, 0) + removed;
  counts.processing = processing;
  counts.queued = batch.total - done - processing;
  return { ...batch, counts, percent: (100 * done + runningPercent) / batch.total };
}

/** The failed and timed out jobs that stand first in the batch. */
export async function listFirstFailed(
  database: PrismaClient,
  tenantId: string,
  batchId: string,
  limit: number,
): Promise<Job[]> {
  if (!isUuid(batchId)) return [];
  const rows = await database.$queryRaw<JobRow[]>`
    SELECT ${jobColumns} FROM jobs job
    WHERE job.batch_id = ${batchId}::uuid AND job.tenant_id = ${tenantId}::uuid AND job.status IN ('failed', 'timeout')
    ORDER BY job.batch_index LIMIT ${limit}::int`;
  return rows.map(jobFromRow);
}
