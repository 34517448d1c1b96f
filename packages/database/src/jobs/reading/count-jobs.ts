import { isTerminal, jobStatuses, type JobStatus, type QueueSummary } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { countedEnds, countedQueue } from "../../keeping/fold-counts.ts";

/**
 * Costs the same however many jobs there are: queued and ended jobs were counted as they came and ended; running jobs are
 * few and have an index.
 * @param tenantId absent = all tenants together
 */
export async function summarizeQueue(database: PrismaClient, tenantId?: string): Promise<QueueSummary> {
  const rows = await database.$queryRaw<CountRow[]>(queueStatement(tenantId));
  const lanes = new Map<string, { lane: string; queued: number; processing: number }>();
  let oldestQueuedAt: Date | null = null;
  for (const { status, lane, count, oldest } of rows) {
    if (oldest !== null) oldestQueuedAt = oldest;
    if (lane === null || isTerminal(status)) continue;
    const entry = lanes.get(lane) ?? { lane, queued: 0, processing: 0 };
    lanes.set(lane, { ...entry, [status]: Number(count) });
  }
  const sorted = [...lanes.values()].sort((a, b) => (a.lane < b.lane ? -1 : 1));
  return { counts: countsOf(rows), lanes: sorted, oldestQueuedAt };
}

interface CountRow {
  status: JobStatus;
  lane: string | null;
  count: bigint;
  /** In one row, which counts nothing. */
  oldest: Date | null;
}

/** Exported for the test of its plan. */
export function queueStatement(tenantId?: string): Prisma.Sql {
  const ofTenant = tenantId === undefined ? Prisma.sql`true` : Prisma.sql`tenant_id = ${tenantId}::uuid`;
  return Prisma.sql`
    WITH queued AS MATERIALIZED (
      SELECT tenant_id, lane, sum(jobs)::bigint AS jobs FROM ${countedQueue} AS counted WHERE ${ofTenant}
      GROUP BY tenant_id, lane HAVING sum(jobs) <> 0
    )
    SELECT 'queued'::job_status AS status, lane, sum(jobs)::bigint AS count, NULL::timestamptz AS oldest
    FROM queued GROUP BY lane
    UNION ALL
    SELECT 'queued', NULL, 0, min(first.created_at) FROM (SELECT DISTINCT tenant_id FROM queued) tenant
    CROSS JOIN LATERAL (
      SELECT created_at FROM jobs WHERE status = 'queued' AND jobs.tenant_id = tenant.tenant_id ORDER BY created_at LIMIT 1
    ) first
    UNION ALL
    SELECT status, lane, count(*), NULL FROM jobs
    WHERE status = 'processing' AND ${ofTenant} GROUP BY status, lane
    UNION ALL
    SELECT status, NULL, sum(jobs)::bigint, NULL FROM ${countedEnds} AS ended WHERE ${ofTenant} GROUP BY status`;
}

/** Every status has a count; a status may come in several parts. */
function countsOf(parts: { status: JobStatus; count: bigint | number }[]): Record<JobStatus, number> {
  const counts = Object.fromEntries(jobStatuses.map((status) => [status, 0])) as Record<JobStatus, number>;
  for (const { status, count } of parts) counts[status] += Number(count);
  return counts;
}
