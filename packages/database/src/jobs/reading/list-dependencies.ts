import { type JobDependency } from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { type PrismaClient } from "../../generated/client.ts";

export async function listDependencies(
  database: PrismaClient,
  tenantId: string,
  jobId: string,
): Promise<JobDependency[]> {
  if (!isUuid(jobId)) return [];
  return await database.$queryRaw<JobDependency[]>`
    SELECT edge.needs_id AS "jobId", need.key, coalesce(need.status::text, 'removed') AS status,
      edge.met_at IS NOT NULL AS "isMet"
    FROM jobs job JOIN job_dependencies edge ON edge.job_id = job.id
    LEFT JOIN jobs need ON need.id = edge.needs_id
    WHERE job.id = ${jobId}::uuid AND job.tenant_id = ${tenantId}::uuid
    ORDER BY edge.needs_id`;
}
