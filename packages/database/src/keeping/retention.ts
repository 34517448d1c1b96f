import { type Excess, type Overdue, type RetentionLimits } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../generated/client.ts";
import { countedEnds } from "./fold-counts.ts";

/**
 * The bytes of files of removed jobs that ended jobs own, by the job that they count for: of several the one that ended
 * last, since the file is removed with it. A file whose own job is there counts for that one.
 */
const keptFiles = Prisma.sql`
  SELECT job_id, tenant_id, sum(bytes) AS bytes FROM (
    SELECT DISTINCT ON (input.storage_key) input.job_id, reader.tenant_id, input.bytes
    FROM job_inputs input JOIN jobs reader ON reader.id = input.job_id
    WHERE input.is_source_removed AND input.storage_key IS NOT NULL AND reader.finished_at IS NOT NULL
      AND NOT EXISTS (SELECT FROM outputs WHERE storage_key = input.storage_key AND attempt >= 1)
    ORDER BY input.storage_key, reader.finished_at DESC, reader.id DESC
  ) file
  GROUP BY job_id, tenant_id`;

/**
 * A tenant's ended jobs beyond its limits, oldest first: those that are too old, and so many of the oldest that the
 * rest keeps the limits of number and bytes.
 * @param limit how many of a tenant's jobs are checked; `null` = all
 */
function overdue(limits: RetentionLimits, graceMs: number, limit: number | null): Prisma.Sql {
  const before = (ms: number): Prisma.Sql => Prisma.sql`now() - ${ms}::float8 * interval '1 millisecond'`;
  const [ofTenant, ofJob]: [Prisma.Sql[], Prisma.Sql[]] = [[], []];
  if (limits.ageMs !== null) {
    ofTenant.push(Prisma.sql`(
      SELECT min(finished_at) FROM jobs WHERE tenant_id = kept.tenant_id AND finished_at IS NOT NULL
    ) < ${before(limits.ageMs)}`);
    ofJob.push(Prisma.sql`ranked.finished_at < ${before(limits.ageMs)}`);
  }
  if (limits.jobs !== null) {
    ofTenant.push(Prisma.sql`kept.jobs > ${BigInt(limits.jobs)}`);
    ofJob.push(Prisma.sql`ranked.place <= kept.jobs - ${BigInt(limits.jobs)}`);
  }
  if (limits.bytes !== null) {
    ofTenant.push(Prisma.sql`kept.bytes > ${BigInt(limits.bytes)}`);
    ofJob.push(Prisma.sql`ranked.bytes_before < kept.bytes - ${BigInt(limits.bytes)}`);
  }
  return Prisma.sql`
    WITH kept_files AS MATERIALIZED (${keptFiles})
    SELECT job.* FROM (
      SELECT tenant_id, sum(jobs)::bigint AS jobs, sum(bytes)::bigint AS bytes FROM (
        SELECT tenant_id, jobs, bytes FROM ${countedEnds} AS counted
        UNION ALL
        SELECT tenant_id, 0, bytes FROM kept_files
      ) own
      GROUP BY tenant_id
    ) kept CROSS JOIN LATERAL (
      SELECT ranked.* FROM (
        SELECT id, tenant_id, finished_at, bytes, row_number() OVER older AS place,
          sum(bytes) OVER older - bytes AS bytes_before
        FROM (
          SELECT ended.id, ended.tenant_id, ended.finished_at,
            ended.output_bytes + coalesce(kept_files.bytes, 0)::bigint AS bytes
          FROM (
            SELECT id, tenant_id, finished_at, output_bytes FROM jobs
            WHERE tenant_id = kept.tenant_id AND finished_at IS NOT NULL AND finished_at < ${before(graceMs)}
            ORDER BY finished_at, id LIMIT ${limit}::bigint
          ) ended
          LEFT JOIN kept_files ON kept_files.job_id = ended.id
        ) oldest
        WINDOW older AS (ORDER BY finished_at, id ROWS UNBOUNDED PRECEDING)
      ) ranked
      WHERE ${Prisma.join(ofJob, " OR ")}
    ) job
    WHERE ${Prisma.join(ofTenant, " OR ")}`;
}

function isUnlimited({ ageMs, jobs, bytes }: RetentionLimits): boolean {
  return ageMs === null && jobs === null && bytes === null;
}

export async function listOverdue(
  database: PrismaClient,
  limits: RetentionLimits,
  { graceMs, limit }: { graceMs: number; limit: number },
): Promise<Overdue[]> {
  if (isUnlimited(limits)) return [];
  const rows = await database.$queryRaw<(Omit<Overdue, "bytes"> & { bytes: bigint })[]>`
    SELECT overdue.id, tenant.name AS "tenantName", overdue.bytes
    FROM (${overdue(limits, graceMs, limit)}) overdue JOIN tenants tenant ON tenant.id = overdue.tenant_id
    ORDER BY overdue.finished_at, overdue.id LIMIT ${limit}::int`;
  return rows.map((row) => ({ ...row, bytes: Number(row.bytes) }));
}

export async function listExcess(
  database: PrismaClient,
  limits: RetentionLimits,
  { graceMs }: { graceMs: number },
): Promise<Excess[]> {
  if (isUnlimited(limits)) return [];
  const rows = await database.$queryRaw<(Omit<Excess, "jobs" | "bytes"> & { jobs: bigint; bytes: bigint })[]>`
    SELECT tenant.name AS "tenantName", count(*) AS jobs,
      sum(overdue.bytes)::bigint AS bytes
    FROM (${overdue(limits, graceMs, null)}) overdue JOIN tenants tenant ON tenant.id = overdue.tenant_id
    GROUP BY tenant.name ORDER BY tenant.name`;
  return rows.map((row) => ({ ...row, jobs: Number(row.jobs), bytes: Number(row.bytes) }));
}

export async function forgetRemoved(database: PrismaClient, ageMs: number, limit: number): Promise<number> {
  const jobs = await database.$executeRaw`
    DELETE FROM removed_jobs WHERE id IN (
      SELECT id FROM removed_jobs WHERE removed_at < now() - ${ageMs}::float8 * interval '1 millisecond'
      ORDER BY removed_at LIMIT ${limit}::int FOR UPDATE SKIP LOCKED)`;
  const batches = await database.$executeRaw`
    DELETE FROM removed_batches WHERE id IN (
      SELECT id FROM removed_batches WHERE removed_at < now() - ${ageMs}::float8 * interval '1 millisecond'
      ORDER BY removed_at LIMIT ${limit}::int FOR UPDATE SKIP LOCKED)`;
  return Math.max(jobs, batches);
}
