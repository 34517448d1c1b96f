import { type WebhookQueue } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../generated/client.ts";
import { backlogs } from "./backlogs.ts";
import { pendingTenants } from "./pending-tenants.ts";

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

/** Those of webhooks that are off are given up so many at a time. */
const givenUpAtOnce = 5_000;
/** The rest of a backlog that is larger is given up by the next looks. */
const roundsMax = 8;

/** CTEs that give up what is due for the webhooks in `due` that are `off`. */
const givingUp = Prisma.sql`
    off AS MATERIALIZED (
      SELECT id FROM webhooks
      WHERE id IN (SELECT webhook_id FROM due) AND (disabled_at IS NOT NULL OR removed_at IS NOT NULL)
    ), given_up AS (
      UPDATE webhook_deliveries SET status = 'failed', ended_at = now(), taken_until = NULL,
        last_error = 'The webhook was disabled before this could be delivered.'
      WHERE id IN (
        SELECT waiting.id FROM off CROSS JOIN LATERAL (
          SELECT id FROM webhook_deliveries
          WHERE status = 'pending' AND webhook_id = off.id AND due_at <= now() + interval '1 millisecond'
          ORDER BY due_at LIMIT ${givenUpAtOnce}::int FOR UPDATE SKIP LOCKED
        ) waiting
        LIMIT ${givenUpAtOnce}::int)
      RETURNING id
    )`;

type Taking = Parameters<WebhookQueue["take"]>;

/**
 * Takes deliveries that are due. What is due for disabled and removed webhooks is given up on the way; while there is nothing
 * else, it is done again, so that no backlog of theirs delays what another webhook of their tenant waits for.
 */
export async function takeDeliveries(database: PrismaClient, ...asked: Taking): Promise<TakenRow[]> {
  for (let round = 1; ; round += 1) {
    const { taken, hasGivenUp } = await takeOnce(database, ...asked);
    if (taken.length > 0 || !hasGivenUp || round === roundsMax) return taken;
  }
}

type TakeRow = (TakenRow | { id: null }) & { hasGivenUp: boolean };

async function takeOnce(
  database: PrismaClient,
  ...asked: Taking
): Promise<{ taken: TakenRow[]; hasGivenUp: boolean }> {
  const rows = await database.$queryRaw<TakeRow[]>(takeStatement(...asked));
  return {
    taken: rows.filter((row): row is typeof row & TakenRow => row.id !== null),
    hasGivenUp: rows.some(({ hasGivenUp }) => hasGivenUp),
  };
}

/**
 * Takes deliveries that are due. They are read tenant by tenant, over an index that has the pending ones of each in the order
 * in which they are due: so no tenant's backlog is read, or waited for, on the way to another one's. What is in the backlog of
 * a webhook is read by the webhook, unless that has as many requests under way as it may. Tenants that have as many as they may
 * are left out, and no tenant has more than `total` places among what is read. Tenants come in random order, since there may
 * be more of them than places; so do webhooks with backlogs. Moments are rounded to milliseconds, up as well as down.
 */
export function takeStatement(...[limits, { byWebhook, byTenant }, leaseMs]: Taking): Prisma.Sql {
  const [webhooks, ofWebhooks] = [[...byWebhook.keys()], [...byWebhook.values()]];
  const [tenants, ofTenants] = [[...byTenant.keys()], [...byTenant.values()]];
  return Prisma.sql`
    WITH RECURSIVE ${pendingTenants}, ${backlogs}, busy_tenant AS (
      SELECT * FROM unnest(${tenants}::uuid[], ${ofTenants}::int[]) AS busy(id, attempts)
    ), busy_webhook AS (
      SELECT * FROM unnest(${webhooks}::uuid[], ${ofWebhooks}::int[]) AS busy(id, attempts)
    ), ${dueOf(limits)}, ${givingUp}, counted AS (
      SELECT due.id, due.due_at, due.tenant_id,
        row_number() OVER (PARTITION BY due.webhook_id ORDER BY due.due_at, due.id) + coalesce(busy_webhook.attempts, 0) AS of_webhook
      FROM due LEFT JOIN busy_webhook ON busy_webhook.id = due.webhook_id
      WHERE due.webhook_id NOT IN (SELECT id FROM off)
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
        attempts = delivery.attempts + 1,
        due_at = now() + ${leaseMs}::float8 * interval '1 millisecond',
        taken_until = now() + ${leaseMs}::float8 * interval '1 millisecond'
      FROM chosen
      WHERE delivery.id = chosen.id
      RETURNING delivery.*
    )
    SELECT taken.id, taken.attempts AS attempt, taken.message_id AS "messageId", taken.type, taken.facts,
      taken.occurred_at AS "occurredAt", taken.begun_at AS "begunAt", hook.id AS "webhookId",
      hook.tenant_id AS "tenantId", hook.url, hook.sealed_secret AS "sealedSecret",
      CASE WHEN hook.previous_valid_until > now() THEN hook.sealed_previous END AS "sealedPrevious",
      done."hasGivenUp"
    FROM (SELECT count(*) > 0 AS "hasGivenUp" FROM given_up) done
      LEFT JOIN (taken JOIN webhooks hook ON hook.id = taken.webhook_id) ON true
    ORDER BY taken.number`;
}

/** A CTE of what may be taken. */
function dueOf({ total, ofTenant, ofWebhook }: Taking[0]): Prisma.Sql {
  const mayBeTaken = (webhook: Prisma.Sql): Prisma.Sql =>
    Prisma.sql`${webhook} NOT IN (SELECT id FROM busy_webhook WHERE attempts >= ${ofWebhook}::int)`;
  return Prisma.sql`due AS MATERIALIZED (
      SELECT next.id, next.webhook_id, next.due_at, tenant.id AS tenant_id
      FROM (
        SELECT id FROM tenant
        WHERE id IS NOT NULL AND id NOT IN (SELECT id FROM busy_tenant WHERE attempts >= ${ofTenant}::int)
        ORDER BY random()
      ) tenant CROSS JOIN LATERAL (
        SELECT * FROM (
          SELECT id, webhook_id, due_at FROM webhook_deliveries
          WHERE status = 'pending' AND NOT in_backlog AND tenant_id = tenant.id AND due_at <= now() + interval '1 millisecond'
            AND ${mayBeTaken(Prisma.sql`webhook_id`)}
          ORDER BY due_at LIMIT ${total}::int FOR UPDATE SKIP LOCKED
        ) soon
        UNION ALL
        SELECT * FROM (
          SELECT later.* FROM (
            SELECT webhook_id AS id FROM backlog WHERE tenant_id = tenant.id AND ${mayBeTaken(Prisma.sql`webhook_id`)}
            ORDER BY random()
          ) hook CROSS JOIN LATERAL (
            SELECT id, webhook_id, due_at FROM webhook_deliveries
            WHERE status = 'pending' AND in_backlog AND tenant_id = tenant.id AND webhook_id = hook.id
              AND due_at <= now() + interval '1 millisecond'
            ORDER BY due_at LIMIT ${ofWebhook}::int FOR UPDATE SKIP LOCKED
          ) later
        ) of_backlogs
        ORDER BY due_at LIMIT ${total}::int
      ) next
      LIMIT ${4 * total}::int
    )`;
}
