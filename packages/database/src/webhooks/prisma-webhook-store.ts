import {
  webhookTestType,
  type NewWebhook,
  type Webhook,
  type WebhookDelivery,
  type WebhookDeliveryStatus,
  type WebhookEventType,
  type WebhookStore,
} from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { withMappedErrors } from "../connection/database-errors.ts";
import { Prisma, type PrismaClient } from "../generated/client.ts";
import { isInBacklog } from "./backlogs.ts";
import {
  deliveryColumns,
  deliveryFromRow,
  webhookColumns,
  webhookFromRow,
  type DeliveryRow,
  type WebhookRow,
} from "./webhook-rows.ts";

/** The webhooks of tenants in PostgreSQL. */
export class PrismaWebhookStore implements WebhookStore {
  readonly #database: PrismaClient;

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  addWebhook(tenantId: string, webhook: NewWebhook, countMax: number): Promise<Webhook | "full"> {
    const { id, url, events, sealedSecret } = webhook;
    return withMappedErrors(() =>
      this.#database.$transaction(async (transaction) => {
        // Two requests at once must not both find the last place free. Submissions of jobs do not wait for this lock.
        await transaction.$queryRaw`SELECT FROM tenants WHERE id = ${tenantId}::uuid FOR NO KEY UPDATE`;
        const [row] = await transaction.$queryRaw<WebhookRow[]>`
          WITH hook AS (
            INSERT INTO webhooks (id, tenant_id, scope, url, events, sealed_secret)
            SELECT ${id}::uuid, ${tenantId}::uuid, 'tenant', ${url}, ${events}::text[], ${sealedSecret}
            WHERE ${countMax}::int > (
              SELECT count(*) FROM webhooks
              WHERE tenant_id = ${tenantId}::uuid AND scope = 'tenant' AND removed_at IS NULL)
            RETURNING *
          )
          SELECT ${webhookColumns} FROM hook`;
        return row === undefined ? "full" : webhookFromRow(row);
      }),
    );
  }

  listWebhooks(tenantId: string): Promise<Webhook[]> {
    return withMappedErrors(async () => {
      const rows = await this.#database.$queryRaw<WebhookRow[]>`
        SELECT ${webhookColumns} FROM webhooks hook
        WHERE tenant_id = ${tenantId}::uuid AND scope = 'tenant' AND removed_at IS NULL ORDER BY id`;
      return rows.map(webhookFromRow);
    });
  }

  async findWebhook(tenantId: string, id: string): Promise<Webhook | null> {
    if (!isUuid(id)) return null;
    return await withMappedErrors(async () => {
      const [row] = await this.#database.$queryRaw<WebhookRow[]>`
        SELECT ${webhookColumns} FROM webhooks hook
        WHERE id = ${id}::uuid AND tenant_id = ${tenantId}::uuid AND removed_at IS NULL`;
      return row === undefined ? null : webhookFromRow(row);
    });
  }

  changeWebhook(
    tenantId: string,
    id: string,
    { url, events, enabled }: { url?: string; events?: WebhookEventType[]; enabled?: boolean },
  ): Promise<Webhook | null> {
    const ofState = {
      none: Prisma.empty,
      enabled: Prisma.sql`, disabled_at = NULL, disabled_reason = NULL`,
      // A webhook that was disabled for another reason keeps that one.
      disabled: Prisma.sql`, disabled_at = coalesce(disabled_at, now()),
        disabled_reason = coalesce(disabled_reason, 'by-request')`,
    }[enabled === undefined ? "none" : enabled ? "enabled" : "disabled"];
    return this.#update(
      tenantId,
      id,
      Prisma.sql`url = coalesce(${url ?? null}::text, url), events = coalesce(${events ?? null}::text[], events),
        failing_since = CASE WHEN ${enabled !== true} AND url = coalesce(${url ?? null}::text, url) THEN failing_since END
        ${ofState}`,
    );
  }

  rotateSecret(
    tenantId: string,
    id: string,
    { sealed, overlapMs }: { sealed: Uint8Array; overlapMs: number },
  ): Promise<Webhook | null> {
    const previous =
      overlapMs === 0
        ? Prisma.sql`sealed_previous = NULL, previous_valid_until = NULL`
        : Prisma.sql`sealed_previous = sealed_secret,
            previous_valid_until = now() + ${overlapMs}::float8 * interval '1 millisecond'`;
    return this.#update(tenantId, id, Prisma.sql`sealed_secret = ${sealed}, ${previous}`);
  }

  async removeWebhook(tenantId: string, id: string): Promise<boolean> {
    return (await this.#update(tenantId, id, Prisma.sql`removed_at = now()`)) !== null;
  }

  async listDeliveries(
    tenantId: string,
    webhookId: string,
    { limit, cursor, status }: { limit: number; cursor?: string; status?: WebhookDeliveryStatus },
  ): Promise<{ items: WebhookDelivery[]; nextCursor: string | null } | null> {
    if ((await this.findWebhook(tenantId, webhookId)) === null) return null;
    return await withMappedErrors(async () => {
      const before = cursor === undefined ? Prisma.sql`true` : Prisma.sql`number < ${BigInt(cursor)}::bigint`;
      const ofStatus =
        status === undefined ? Prisma.sql`true` : Prisma.sql`status = ${status}::webhook_delivery_status`;
      const rows = await this.#database.$queryRaw<DeliveryRow[]>`
        SELECT ${deliveryColumns} FROM webhook_deliveries delivery
        WHERE webhook_id = ${webhookId}::uuid AND ${before} AND ${ofStatus}
        ORDER BY number DESC LIMIT ${limit + 1}::int`;
      const shown = rows.slice(0, limit);
      const last = rows.length > limit ? shown.at(-1) : undefined;
      return {
        items: shown.map(deliveryFromRow),
        nextCursor: last === undefined ? null : String(last.number),
      };
    });
  }

  async findDelivery(tenantId: string, id: string): Promise<WebhookDelivery | null> {
    if (!isUuid(id)) return null;
    return await withMappedErrors(async () => {
      const [row] = await this.#database.$queryRaw<DeliveryRow[]>`
        SELECT ${deliveryColumns} FROM webhook_deliveries delivery JOIN webhooks hook ON hook.id = delivery.webhook_id
        WHERE delivery.id = ${id}::uuid AND delivery.tenant_id = ${tenantId}::uuid AND hook.removed_at IS NULL`;
      return row === undefined ? null : deliveryFromRow(row);
    });
  }

  async redeliver(tenantId: string, id: string): Promise<WebhookDelivery | "disabled" | null> {
    const known = await this.findDelivery(tenantId, id);
    if (known === null) return null;
    if (await this.#isDisabled(tenantId, known.webhookId)) return "disabled";
    return await withMappedErrors(async () => {
      await this.#database.$executeRaw`
        UPDATE webhook_deliveries SET status = 'pending', due_at = now(), begun_at = now(), taken_until = NULL, ended_at = NULL,
          in_backlog = ${isInBacklog(Prisma.sql`webhook_deliveries.webhook_id`)}
        WHERE id = ${id}::uuid AND tenant_id = ${tenantId}::uuid
          AND (status <> 'pending' OR taken_until IS NULL OR taken_until <= now())`;
      return await this.findDelivery(tenantId, id);
    });
  }

  async addTest(tenantId: string, webhookId: string): Promise<WebhookDelivery | "disabled" | null> {
    if ((await this.findWebhook(tenantId, webhookId)) === null) return null;
    if (await this.#isDisabled(tenantId, webhookId)) return "disabled";
    return await withMappedErrors(() =>
      this.#database.$transaction(async (transaction) => {
        // So that two requests at once make one test.
        const held = await transaction.$queryRaw<unknown[]>`
          SELECT FROM webhooks WHERE id = ${webhookId}::uuid AND removed_at IS NULL FOR NO KEY UPDATE`;
        if (held.length === 0) return null;
        const [waiting] = await transaction.$queryRaw<DeliveryRow[]>`
          SELECT ${deliveryColumns} FROM webhook_deliveries delivery
          WHERE tenant_id = ${tenantId}::uuid AND webhook_id = ${webhookId}::uuid AND status = 'pending'
            AND type = ${webhookTestType} LIMIT 1`;
        if (waiting !== undefined) return deliveryFromRow(waiting);
        const [added] = await transaction.$queryRaw<DeliveryRow[]>`
          WITH delivery AS (
            INSERT INTO webhook_deliveries (webhook_id, tenant_id, message_id, type, facts, occurred_at)
            VALUES (${webhookId}::uuid, ${tenantId}::uuid, 'msg_' || replace(gen_random_uuid()::text, '-', ''),
              ${webhookTestType}, '{}', now())
            RETURNING *
          )
          SELECT ${deliveryColumns} FROM delivery`;
        return added === undefined ? null : deliveryFromRow(added);
      }),
    );
  }

  async #isDisabled(tenantId: string, webhookId: string): Promise<boolean> {
    return ((await this.findWebhook(tenantId, webhookId))?.disabled ?? null) !== null;
  }

  async #update(tenantId: string, id: string, assigned: Prisma.Sql): Promise<Webhook | null> {
    if (!isUuid(id)) return null;
    return await withMappedErrors(async () => {
      const [row] = await this.#database.$queryRaw<WebhookRow[]>`
        WITH hook AS (
          UPDATE webhooks SET ${assigned}
          WHERE id = ${id}::uuid AND tenant_id = ${tenantId}::uuid AND removed_at IS NULL
          RETURNING *
        )
        SELECT ${webhookColumns} FROM hook`;
      return row === undefined ? null : webhookFromRow(row);
    });
  }
}
