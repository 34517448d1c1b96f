import { type NamedClass } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../../generated/client.ts";

/**
 * Graphs that Genga made from parameters are left out, since clients did not write their nodes. Each graph is read
 * once.
 */
export async function listClassesToRetry(
  database: PrismaClient,
  tenantId: string,
  of: { jobId: string } | { batchId: string },
): Promise<NamedClass[]> {
  const isMeant =
    "jobId" in of
      ? Prisma.sql`job.id = ${of.jobId}::uuid`
      : Prisma.sql`job.batch_id = ${of.batchId}::uuid AND job.status IN ('failed', 'timeout')`;
  return await database.$queryRaw<NamedClass[]>`
    WITH meant AS (
      SELECT DISTINCT asked.workflow_hash FROM jobs job JOIN job_parameters asked ON asked.job_id = job.id
      WHERE job.type = 'workflow' AND job.tenant_id = ${tenantId}::uuid AND ${isMeant}
    )
    SELECT node.value ->> 'class_type' AS "classType", min(node.key) AS "nodeId"
    FROM meant JOIN workflows ON workflows.hash = meant.workflow_hash
    CROSS JOIN LATERAL jsonb_each(workflows.graph) AS node(key, value)
    WHERE node.value ->> 'class_type' IS NOT NULL
    GROUP BY 1 ORDER BY 1`;
}
