import { type PrismaClient } from "../generated/client.ts";

/**
 * Records the uploads of jobs that an earlier version accepted: reads their graphs, which name uploads as
 * `genga/<sha256>.png`.
 */
export async function noteUploads(database: PrismaClient, limit: number): Promise<number> {
  return await database.$executeRaw`
    WITH job AS (
      SELECT asked.job_id, asked.workflow_hash FROM job_parameters asked WHERE NOT uploads_noted
      ORDER BY asked.job_id LIMIT ${limit}::int FOR NO KEY UPDATE SKIP LOCKED
    ), named AS (
      INSERT INTO job_uploads (job_id, upload_id)
      SELECT DISTINCT job.job_id, upload.id
      FROM job JOIN jobs ON jobs.id = job.job_id JOIN workflows graph ON graph.hash = job.workflow_hash
      CROSS JOIN LATERAL regexp_matches(graph.graph::text, 'genga/([0-9a-f]{64})\\.', 'g') AS content
      JOIN uploads upload ON upload.tenant_id = jobs.tenant_id AND upload.sha256 = content[1]
      ORDER BY upload.id
      ON CONFLICT DO NOTHING
    )
    UPDATE job_parameters SET uploads_noted = true FROM job WHERE job_parameters.job_id = job.job_id`;
}
