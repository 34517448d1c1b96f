import { Prisma } from "../generated/client.ts";

/**
 * A recursive CTE `tenant` with the ids of the tenants for which deliveries wait, and one row without an id. It goes from tenant
 * to tenant over an index, however many deliveries each of them has.
 */
export const pendingTenants = Prisma.sql`tenant AS (
      SELECT min(tenant_id::text)::uuid AS id FROM (
        SELECT tenant_id FROM webhook_deliveries WHERE status = 'pending' ORDER BY tenant_id LIMIT 1) first
      UNION ALL
      SELECT (
        SELECT tenant_id FROM webhook_deliveries WHERE status = 'pending' AND tenant_id > tenant.id
        ORDER BY tenant_id LIMIT 1)
      FROM tenant WHERE tenant.id IS NOT NULL
    )`;
