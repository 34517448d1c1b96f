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
  of: ChainOf,
  limit: number,
): Promise<ChainJob[]> {
  if (!isUuid("jobId" in of ? of.jobId : of.batchId)) return [];
  return await database.$queryRaw<ChainJob[]>(chainStatement(tenantId, of, limit));
}

type ChainOf = { jobId: string } | { batchId: string };

/**
 * The limits inside keep PostgreSQL, which cannot know how long a chain is, from reading all dependencies of all jobs. Exported
 * for the test of its plan.
 */
export function chainStatement(tenantId: string, of: ChainOf, limit: number): Prisma.Sql {
  const id = "jobId" in of ? of.jobId : of.batchId;
  const isFirst =
    "jobId" in of
      ? Prisma.sql`job.id = ${id}::uuid`
      : Prisma.sql`job.batch_id = ${id}::uuid
          AND coalesce(
            (SELECT true FROM job_dependencies edge WHERE edge.needs_id = job.id LIMIT 1),
            (SELECT true FROM job_dependencies edge WHERE edge.job_id = job.id LIMIT 1), false)`;
  return Prisma.sql`
    WITH RECURSIVE first AS (
      SELECT job.id FROM jobs job WHERE job.tenant_id = ${tenantId}::uuid AND ${isFirst}
      ORDER BY job.id LIMIT ${limit}::int
    ), above(id) AS (
      SELECT id FROM first
      UNION SELECT next.id FROM above CROSS JOIN LATERAL (
        SELECT edge.needs_id AS id FROM job_dependencies edge WHERE edge.job_id = above.id LIMIT ${limit}::int
      ) next
    ), below(id) AS (
      SELECT id FROM first
      UNION SELECT next.id FROM below CROSS JOIN LATERAL (
        SELECT edge.job_id AS id FROM job_dependencies edge WHERE edge.needs_id = below.id LIMIT ${limit}::int
      ) next
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
