import { type ChainJob } from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { Prisma, type PrismaClient } from "../../generated/client.ts";

/**
 * The jobs that a job, or the jobs of a batch, wait for, and those that wait for these, however far away. PostgreSQL reads no
 * more of a chain than `limit` asks for.
 */
export async function listChain(
  database: PrismaClient,
  tenantId: string,
  of: { jobId: string } | { batchId: string },
  limit: number,
): Promise<ChainJob[]> {
  const id = "jobId" in of ? of.jobId : of.batchId;
  if (!isUuid(id)) return [];
  const isFirst =
    "jobId" in of
      ? Prisma.sql`job.id = ${id}::uuid`
      : Prisma.sql`job.batch_id = ${id}::uuid
          AND (
            EXISTS (SELECT FROM job_dependencies edge WHERE edge.needs_id = job.id)
            OR EXISTS (SELECT FROM job_dependencies edge WHERE edge.job_id = job.id))`;
  return await database.$queryRaw<ChainJob[]>`
    WITH RECURSIVE first AS (
      SELECT job.id FROM jobs job WHERE job.tenant_id = ${tenantId}::uuid AND ${isFirst}
      ORDER BY job.id LIMIT ${limit}::int
    ), above(id) AS (
      SELECT id FROM first
      UNION SELECT edge.needs_id FROM above JOIN job_dependencies edge ON edge.job_id = above.id
    ), below(id) AS (
      SELECT id FROM first
      UNION SELECT edge.job_id FROM below JOIN job_dependencies edge ON edge.needs_id = below.id
    ), chain AS (
      -- A recursion brings the nearest first.
      SELECT id, min(place) AS place FROM (
        (SELECT id, row_number() OVER () AS place FROM above LIMIT ${limit}::int)
        UNION ALL (SELECT id, row_number() OVER () AS place FROM below LIMIT ${limit}::int)
      ) linked GROUP BY id
    )
    SELECT chain.id, job.key, job.type::text AS type, coalesce(job.status::text, 'removed') AS status,
      job.batch_id AS "batchId",
      ARRAY(
        SELECT edge.needs_id::text FROM job_dependencies edge WHERE edge.job_id = chain.id ORDER BY edge.needs_id
      ) AS needs
    FROM chain LEFT JOIN jobs job ON job.id = chain.id AND job.tenant_id = ${tenantId}::uuid
    ORDER BY chain.id IN (SELECT id FROM first) DESC, chain.place, chain.id LIMIT ${limit}::int`;
}
