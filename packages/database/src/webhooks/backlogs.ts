import { Prisma } from "../generated/client.ts";

/** So many deliveries that wait for one webhook are found by when they are due; what is made meanwhile, by the webhook. */
const soonMax = 50;

/**
 * Whether what is made for a webhook now belongs to its backlog. Transactions that make some at the same time may leave a few
 * more out of it.
 * @param webhookId a uuid
 * @param place counts from 1 what the statement makes for the webhook
 */
export function isInBacklog(webhookId: Prisma.Sql, place: Prisma.Sql = Prisma.sql`1`): Prisma.Sql {
  return Prisma.sql`CASE WHEN ${place} > ${soonMax}::int THEN true ELSE EXISTS (
          SELECT FROM webhook_deliveries waiting WHERE waiting.status = 'pending' AND waiting.webhook_id = ${webhookId}
          OFFSET ${soonMax - 1}::int LIMIT 1) END`;
}

/** A recursive CTE `backlog` of the webhooks that have one. */
export const backlogs = Prisma.sql`backlog AS (
      (SELECT tenant_id, webhook_id FROM webhook_deliveries WHERE status = 'pending' AND in_backlog
      ORDER BY tenant_id, webhook_id LIMIT 1)
      UNION ALL
      SELECT next.tenant_id, next.webhook_id FROM backlog CROSS JOIN LATERAL (
        SELECT tenant_id, webhook_id FROM webhook_deliveries
        WHERE status = 'pending' AND in_backlog AND (tenant_id, webhook_id) > (backlog.tenant_id, backlog.webhook_id)
        ORDER BY tenant_id, webhook_id LIMIT 1
      ) next
    )`;
