import { allTenantsId } from "./count-ends.ts";
import { Prisma, type PrismaClient } from "../generated/client.ts";

/**
 * The counts of ended jobs: the base row and all later changes. One statement always reads both, since folding moves
 * counts from one to the other.
 */
export const countedEnds = Prisma.sql`(
  SELECT tenant_id, status, jobs, bytes FROM tenant_job_counts
  UNION ALL
  SELECT tenant_id, status, jobs, bytes FROM ended_job_changes
)`;

/** The counts of queued jobs by tenant and lane: the base row and all later changes, read by one statement as above. */
export const countedQueue = Prisma.sql`(
  SELECT tenant_id, lane, jobs FROM queued_job_counts
  UNION ALL
  SELECT tenant_id, lane, jobs FROM queued_job_changes
)`;

/**
 * Adds up to `limit` changes of each kind to their base rows. Changes are never updated, and found by their place in the
 * table. These tables are empty one moment and full the next, so PostgreSQL's estimates of them are worth nothing: a plan for
 * one row with `id IN` would choose and lock the changes anew for each change there is.
 * @returns how many of the kind that had most
 */
export async function foldCounts(database: PrismaClient, limit: number): Promise<number> {
  const ended = await foldEnds(database, limit);
  return Math.max(ended, await foldQueue(database, limit));
}

/**
 * Adds the oldest changes to their base rows. Batches are locked first, in the order of their ids. So a batch that is
 * being removed is waited for, and its counts are removed with it.
 */
async function foldEnds(database: PrismaClient, limit: number): Promise<number> {
  const [row] = await database.$queryRaw<{ folded: bigint }[]>`
    WITH change AS (
      DELETE FROM ended_job_changes WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM ended_job_changes ORDER BY id LIMIT ${limit}::int FOR UPDATE SKIP LOCKED))
      RETURNING *
    ), batch AS (
      SELECT id FROM batches WHERE id IN (SELECT batch_id FROM change) ORDER BY id FOR KEY SHARE
    ), of_batch AS (
      INSERT INTO batch_job_counts AS base (batch_id, status, jobs, removed)
      SELECT batch.id, change.status, sum(change.jobs), sum(change.removed) FROM change JOIN batch ON batch.id = change.batch_id
      GROUP BY batch.id, change.status
      ON CONFLICT (batch_id, status) DO UPDATE SET jobs = base.jobs + excluded.jobs,
        removed = base.removed + excluded.removed
    ), of_tenant AS (
      INSERT INTO tenant_job_counts AS base (tenant_id, status, jobs, bytes)
      SELECT tenant_id, status, sum(jobs), sum(bytes) FROM change GROUP BY tenant_id, status
      ON CONFLICT (tenant_id, status) DO UPDATE SET jobs = base.jobs + excluded.jobs, bytes = base.bytes + excluded.bytes
    ), of_minute AS (
      INSERT INTO ended_job_minutes AS base (tenant_id, minute, status, jobs)
      SELECT counted.tenant_id, date_trunc('minute', change.ended_at) AS minute, change.status, sum(change.jobs)
      FROM change CROSS JOIN LATERAL (VALUES (change.tenant_id), (${allTenantsId}::uuid)) AS counted(tenant_id)
      WHERE change.jobs > 0 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
      ON CONFLICT (tenant_id, minute, status) DO UPDATE SET jobs = base.jobs + excluded.jobs
    )
    SELECT count(*) AS folded FROM change`;
  return Number(row?.folded ?? 0);
}

/** Rows of lanes in which no job of the tenant waits any more are removed, since lanes come and go. */
async function foldQueue(database: PrismaClient, limit: number): Promise<number> {
  const [row] = await database.$queryRaw<{ folded: bigint }[]>`
    WITH change AS (
      DELETE FROM queued_job_changes WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM queued_job_changes ORDER BY id LIMIT ${limit}::int FOR UPDATE SKIP LOCKED))
      RETURNING *
    ), of_lane AS (
      INSERT INTO queued_job_counts AS base (tenant_id, lane, jobs)
      SELECT tenant_id, lane, sum(jobs) FROM change GROUP BY tenant_id, lane ORDER BY tenant_id, lane
      ON CONFLICT (tenant_id, lane) DO UPDATE SET jobs = base.jobs + excluded.jobs
    )
    SELECT count(*) AS folded FROM change`;
  const folded = Number(row?.folded ?? 0);
  if (folded > 0) await database.$executeRaw`DELETE FROM queued_job_counts WHERE jobs = 0`;
  return folded;
}
