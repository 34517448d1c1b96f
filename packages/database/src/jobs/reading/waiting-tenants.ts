import { type WaitingTenant } from "@genga/jobs";
import { type PrismaClient } from "../../generated/client.ts";

/** Counting stops here, so that it costs the same however many jobs wait. */
const countedMax = 1_000;

/**
 * Tenants with queued jobs. One look-up in the index of queued jobs finds each tenant, so that the jobs of a tenant cost
 * nothing beyond those that are counted.
 */
export async function listWaitingTenants(database: PrismaClient, limit: number): Promise<WaitingTenant[]> {
  return await database.$queryRaw<WaitingTenant[]>`
    WITH RECURSIVE waiting AS (
      (SELECT tenant_id FROM jobs WHERE status = 'queued' ORDER BY tenant_id LIMIT 1)
      UNION ALL
      SELECT (SELECT tenant_id FROM jobs WHERE status = 'queued' AND tenant_id > waiting.tenant_id
        ORDER BY tenant_id LIMIT 1)
      FROM waiting WHERE waiting.tenant_id IS NOT NULL
    )
    SELECT tenants.name AS tenant, least(queued.jobs, ${countedMax}::int) AS queued,
      queued.jobs > ${countedMax}::int AS "hasMore",
      (SELECT count(*)::int FROM jobs WHERE status = 'processing' AND tenant_id = tenants.id) AS processing
    FROM (SELECT tenant_id FROM waiting WHERE tenant_id IS NOT NULL LIMIT ${limit}::int) listed
    JOIN tenants ON tenants.id = listed.tenant_id
    CROSS JOIN LATERAL (
      SELECT count(*)::int AS jobs FROM (
        SELECT FROM jobs WHERE status = 'queued' AND tenant_id = listed.tenant_id LIMIT ${countedMax + 1}::int) counted
    ) queued
    ORDER BY queued.jobs DESC, tenants.name`;
}
