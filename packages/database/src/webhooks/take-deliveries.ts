import { type WebhookQueue } from "@genga/jobs";
import { type PrismaClient } from "../generated/client.ts";

export interface TakenRow {
  id: string;
  attempt: number;
  messageId: string;
  type: string;
  occurredAt: Date;
  begunAt: Date;
  facts: unknown;
  webhookId: string;
  tenantId: string;
  url: string;
  sealedSecret: Uint8Array;
  sealedPrevious: Uint8Array | null;
}

/**
 * Takes deliveries that are due. They are read tenant by tenant, over an index that has the pending ones of each in the order
 * in which they are due: so no tenant's backlog is read, or waited for, on the way to another one's. Tenants come in
 * random order, since there may be more of them than places. Moments are rounded to milliseconds, up as well as down.
 */
export async function takeDeliveries(
  database: PrismaClient,
  ...[limits, { byWebhook, byTenant }, leaseMs]: Parameters<WebhookQueue["take"]>
): Promise<TakenRow[]> {
  const [webhooks, ofWebhooks] = [[...byWebhook.keys()], [...byWebhook.values()]];
  const [tenants, ofTenants] = [[...byTenant.keys()], [...byTenant.values()]];
  return await database.$queryRaw<TakenRow[]>`
    WITH RECURSIVE tenant AS (
      SELECT min(tenant_id::text)::uuid AS id FROM (
        SELECT tenant_id FROM webhook_deliveries WHERE status = 'pending' ORDER BY tenant_id LIMIT 1) first
      UNION ALL
      SELECT (
        SELECT tenant_id FROM webhook_deliveries WHERE status = 'pending' AND tenant_id > tenant.id
        ORDER BY tenant_id LIMIT 1)
      FROM tenant WHERE tenant.id IS NOT NULL
    ), busy_tenant AS (
      SELECT * FROM unnest(${tenants}::uuid[], ${ofTenants}::int[]) AS busy(id, attempts)
    ), busy_webhook AS (
      SELECT * FROM unnest(${webhooks}::uuid[], ${ofWebhooks}::int[]) AS busy(id, attempts)
    ), due AS MATERIALIZED (
      SELECT next.id, next.webhook_id, next.due_at, tenant.id AS tenant_id
      FROM (SELECT id FROM tenant WHERE id IS NOT NULL ORDER BY random()) tenant CROSS JOIN LATERAL (
        SELECT id, webhook_id, due_at FROM webhook_deliveries
        WHERE status = 'pending' AND tenant_id = tenant.id AND due_at <= now() + interval '1 millisecond'
          AND webhook_id NOT IN (SELECT id FROM busy_webhook WHERE attempts >= ${limits.ofWebhook}::int)
        ORDER BY due_at LIMIT ${limits.total}::int FOR UPDATE SKIP LOCKED
      ) next
      LIMIT ${4 * limits.total}::int
    ), counted AS (
      SELECT due.id, due.due_at, due.tenant_id,
        row_number() OVER (PARTITION BY due.webhook_id ORDER BY due.due_at, due.id) + coalesce(busy_webhook.attempts, 0) AS of_webhook
      FROM due LEFT JOIN busy_webhook ON busy_webhook.id = due.webhook_id
    ), fair AS (
      SELECT counted.id,
        row_number() OVER (PARTITION BY counted.tenant_id ORDER BY counted.due_at, counted.id)
          + coalesce(busy_tenant.attempts, 0) AS of_tenant
      FROM counted LEFT JOIN busy_tenant ON busy_tenant.id = counted.tenant_id
      WHERE of_webhook <= ${limits.ofWebhook}::int
    ), chosen AS (
      SELECT id FROM fair WHERE of_tenant <= ${limits.ofTenant}::int ORDER BY of_tenant LIMIT ${limits.total}::int
    ), taken AS (
      UPDATE webhook_deliveries delivery SET
        attempts = delivery.attempts + CASE WHEN hook.is_on THEN 1 ELSE 0 END,
        due_at = now() + ${leaseMs}::float8 * interval '1 millisecond',
        taken_until = CASE WHEN hook.is_on THEN now() + ${leaseMs}::float8 * interval '1 millisecond' END,
        status = CASE WHEN hook.is_on THEN 'pending' ELSE 'failed' END::webhook_delivery_status,
        ended_at = CASE WHEN hook.is_on THEN NULL ELSE now() END,
        last_error = CASE WHEN hook.is_on THEN delivery.last_error ELSE 'The webhook was disabled before this could be delivered.' END
      FROM chosen JOIN webhook_deliveries own USING (id) CROSS JOIN LATERAL (
        SELECT disabled_at IS NULL AND removed_at IS NULL AS is_on FROM webhooks WHERE webhooks.id = own.webhook_id
      ) hook
      WHERE delivery.id = chosen.id
      RETURNING delivery.*
    )
    SELECT taken.id, taken.attempts AS attempt, taken.message_id AS "messageId", taken.type, taken.facts,
      taken.occurred_at AS "occurredAt", taken.begun_at AS "begunAt", hook.id AS "webhookId",
      hook.tenant_id AS "tenantId", hook.url, hook.sealed_secret AS "sealedSecret",
      CASE WHEN hook.previous_valid_until > now() THEN hook.sealed_previous END AS "sealedPrevious"
    FROM taken JOIN webhooks hook ON hook.id = taken.webhook_id
    WHERE taken.status = 'pending'
    ORDER BY taken.number`;
}
