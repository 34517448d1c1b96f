import { isTerminal, jobStatuses, type JobStatus, type QueueSummary } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { countedEnds } from "../../keeping/fold-counts.ts";

/**
 * Waiting and running jobs are few and have an index, so they are counted here; ended jobs were counted as they ended.
 * @param tenantId absent = all tenants together
 */
export async function summarizeQueue(database: PrismaClient, tenantId?: string): Promise<QueueSummary> {
  const ofTenant = tenantId === undefined ? Prisma.sql`true` : Prisma.sql`tenant_id = ${tenantId}::uuid`;
  const rows = await database.$queryRaw<
    { status: JobStatus; lane: string | null; count: bigint; oldest: Date | null }[]
  >`
    SELECT status, lane, count(*), min(created_at) AS oldest FROM jobs
    WHERE status = 'queued' AND ${ofTenant} GROUP BY status, lane
    UNION ALL
    SELECT status, lane, count(*), NULL FROM jobs
    WHERE status = 'processing' AND ${ofTenant} GROUP BY status, lane
    UNION ALL
    SELECT status, NULL, sum(jobs)::bigint, NULL FROM ${countedEnds} AS ended WHERE ${ofTenant} GROUP BY status`;
  const lanes = new Map<string, { lane: string; queued: number; processing: number }>();
  let oldestQueuedAt: Date | null = null;
  for (const { status, lane, count, oldest } of rows) {
    if (lane === null || isTerminal(status)) continue;
    const entry = lanes.get(lane) ?? { lane, queued: 0, processing: 0 };
    lanes.set(lane, { ...entry, [status]: Number(count) });
    if (oldest !== null && (oldestQueuedAt === null || oldest < oldestQueuedAt)) oldestQueuedAt = oldest;
  }
  const sorted = [...lanes.values()].sort((a, b) => (a.lane < b.lane ? -1 : 1));
  return { counts: countsOf(rows), lanes: sorted, oldestQueuedAt };
}

/** Every status has a count; a status may come in several parts. */
function countsOf(parts: { status: JobStatus; count: bigint | number }[]): Record<JobStatus, number> {
  const counts = Object.fromEntries(jobStatuses.map((status) => [status, 0])) as Record<JobStatus, number>;
  for (const { status, count } of parts) counts[status] += Number(count);
  return counts;
}
