import { type WaitingTenant } from "@genga/jobs";
import { type PrismaClient } from "../../generated/client.ts";
import { countedQueue } from "../../keeping/fold-counts.ts";

/** Tenants with queued jobs, those with the most first. Jobs were counted as they were queued, so none is read here. */
export async function listWaitingTenants(database: PrismaClient, limit: number): Promise<WaitingTenant[]> {
  return await database.$queryRaw<WaitingTenant[]>`
    SELECT tenants.name AS tenant, queued.jobs AS queued,
      (SELECT count(*)::int FROM jobs WHERE status = 'processing' AND tenant_id = tenants.id) AS processing
    FROM (
      SELECT tenant_id, sum(jobs)::int AS jobs FROM ${countedQueue} AS counted
      GROUP BY tenant_id HAVING sum(jobs) <> 0
    ) queued JOIN tenants ON tenants.id = queued.tenant_id
    ORDER BY queued.jobs DESC, tenants.name LIMIT ${limit}::int`;
}
