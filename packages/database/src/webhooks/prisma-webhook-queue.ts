import { type DeliveryResult, type DueDelivery, type WebhookQueue } from "@genga/jobs";
import { z } from "zod";
import { withMappedErrors } from "../connection/database-errors.ts";
import { type PrismaClient } from "../generated/client.ts";
import { pendingTenants } from "./pending-tenants.ts";
import { removeOldDeliveries } from "./remove-old-deliveries.ts";
import { takeDeliveries } from "./take-deliveries.ts";
import { messageTypes } from "./webhook-rows.ts";

const factsSchema = z.record(z.string(), z.json());

/** What waits to be sent, in PostgreSQL. */
export class PrismaWebhookQueue implements WebhookQueue {
  readonly #database: PrismaClient;

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  take(...asked: Parameters<WebhookQueue["take"]>): Promise<DueDelivery[]> {
    return withMappedErrors(async () => {
      const rows = await takeDeliveries(this.#database, ...asked);
      return rows.map(({ webhookId, tenantId, url, sealedSecret, sealedPrevious, ...row }) => ({
        ...row,
        type: messageTypes.parse(row.type),
        facts: factsSchema.parse(row.facts),
        webhook: { id: webhookId, tenantId, url, sealedSecret, sealedPrevious },
      }));
    });
  }

  record(
    { id, attempt, webhook: { url } }: Pick<DueDelivery, "id" | "attempt" | "webhook">,
    result: DeliveryResult,
    disableAfterMs: number,
  ): Promise<{ isRecorded: boolean; isDisabled: boolean }> {
    const isDelivered = result.kind === "delivered";
    const retryInMs = isDelivered ? null : result.retryInMs;
    const isGone = !isDelivered && result.isGone;
    return withMappedErrors(async () => {
      const [row] = await this.#database.$queryRaw<{ isRecorded: boolean; isDisabled: boolean }[]>`
        WITH delivery AS (
          UPDATE webhook_deliveries SET
            status = CASE WHEN ${isDelivered} THEN 'delivered' WHEN ${retryInMs}::float8 IS NULL THEN 'failed' ELSE 'pending'
              END::webhook_delivery_status,
            due_at = now() + coalesce(${retryInMs}::float8, 0) * interval '1 millisecond',
            ended_at = CASE WHEN ${retryInMs}::float8 IS NULL THEN now() END,
            taken_until = NULL, attempted_at = now(), last_status = ${result.status}::int,
            last_error = ${isDelivered ? null : result.error}::text
          WHERE id = ${id}::uuid AND attempts = ${attempt}::int AND status = 'pending'
          RETURNING webhook_id
        ), hook AS (
          UPDATE webhooks SET
            failing_since = CASE WHEN ${isDelivered} THEN NULL ELSE coalesce(failing_since, now()) END,
            disabled_at = CASE WHEN ${isDelivered} THEN disabled_at
              WHEN ${isGone} OR failing_since < now() - ${disableAfterMs}::float8 * interval '1 millisecond' THEN now() END,
            disabled_reason = CASE WHEN ${isDelivered} THEN disabled_reason
              WHEN ${isGone} THEN 'gone'
              WHEN failing_since < now() - ${disableAfterMs}::float8 * interval '1 millisecond' THEN 'failing' END
          WHERE id IN (SELECT webhook_id FROM delivery) AND url = ${url} AND CASE WHEN ${isDelivered} THEN failing_since IS NOT NULL
            ELSE disabled_at IS NULL AND (failing_since IS NULL OR ${isGone}
              OR failing_since < now() - ${disableAfterMs}::float8 * interval '1 millisecond') END
          RETURNING NOT ${isDelivered} AND disabled_at IS NOT NULL AS is_disabled
        )
        SELECT EXISTS (SELECT FROM delivery) AS "isRecorded",
          coalesce((SELECT bool_or(is_disabled) FROM hook), false) AS "isDisabled"`;
      return row ?? { isRecorded: false, isDisabled: false };
    });
  }

  giveBack(deliveries: readonly Pick<DueDelivery, "id" | "attempt">[]): Promise<void> {
    const ids = deliveries.map(({ id }) => id);
    const attempts = deliveries.map(({ attempt }) => attempt);
    return withMappedErrors(async () => {
      await this.#database.$executeRaw`
        UPDATE webhook_deliveries SET due_at = now(), taken_until = NULL
        FROM unnest(${ids}::uuid[], ${attempts}::int[]) AS given(id, attempt)
        WHERE webhook_deliveries.id = given.id AND attempts = given.attempt AND status = 'pending'`;
    });
  }

  look(): Promise<{ dueInMs: number | null; hasUnsequenced: boolean }> {
    return withMappedErrors(async () => {
      const [row] = await this.#database.$queryRaw<{ dueInMs: number | null; hasUnsequenced: boolean }[]>`
        WITH RECURSIVE ${pendingTenants}
        SELECT (
          SELECT CASE WHEN count(*) > 0 THEN greatest(extract(epoch FROM min(due.at) - now()) * 1000 - 1, 0) END::float8
          FROM tenant CROSS JOIN LATERAL (
            SELECT due_at AS at FROM webhook_deliveries WHERE status = 'pending' AND tenant_id = tenant.id
            ORDER BY due_at LIMIT 1) due
        ) AS "dueInMs",
        (SELECT EXISTS (SELECT FROM webhooks)) AND EXISTS (SELECT FROM unsequenced_events) AS "hasUnsequenced"`;
      return row ?? { dueInMs: null, hasUnsequenced: false };
    });
  }

  countPending(): Promise<number> {
    return withMappedErrors(async () => {
      const [row] = await this.#database.$queryRaw<{ pending: bigint }[]>`
        SELECT count(*) AS pending FROM webhook_deliveries WHERE status = 'pending'`;
      return Number(row?.pending ?? 0);
    });
  }

  removeOld(ageMs: number, limit: number): Promise<{ deliveries: number; webhooks: number }> {
    return withMappedErrors(() => removeOldDeliveries(this.#database, ageMs, limit));
  }
}
