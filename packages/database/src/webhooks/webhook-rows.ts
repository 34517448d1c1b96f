import {
  webhookEventTypes,
  webhookTestType,
  type Webhook,
  type WebhookDelivery,
  type WebhookDeliveryStatus,
} from "@genga/jobs";
import { z } from "zod";
import { Prisma } from "../generated/client.ts";

export interface WebhookRow {
  id: string;
  tenantId: string;
  scope: Webhook["scope"];
  url: string;
  events: string[];
  disabledAt: Date | null;
  disabledReason: string | null;
  failingSince: Date | null;
  previousValidUntil: Date | null;
  createdAt: Date;
}

/** Of a table, alias or CTE named `hook`. */
export const webhookColumns = Prisma.raw(`
  hook.id, hook.tenant_id AS "tenantId", hook.scope, hook.url, hook.events, hook.disabled_at AS "disabledAt",
  hook.disabled_reason AS "disabledReason", hook.failing_since AS "failingSince",
  hook.previous_valid_until AS "previousValidUntil", hook.created_at AS "createdAt"`);

const eventTypes = z.array(z.enum(webhookEventTypes));
const reasons: z.ZodType<NonNullable<Webhook["disabled"]>["reason"]> = z.enum([
  "by-request",
  "gone",
  "failing",
]);

export function webhookFromRow({ disabledAt, disabledReason, ...row }: WebhookRow): Webhook {
  return {
    ...row,
    events: eventTypes.parse(row.events),
    disabled: disabledAt && { at: disabledAt, reason: reasons.parse(disabledReason) },
  };
}

export interface DeliveryRow {
  id: string;
  number: bigint;
  webhookId: string;
  messageId: string;
  type: string;
  occurredAt: Date;
  status: WebhookDeliveryStatus;
  attempts: number;
  dueAt: Date;
  isUnderWay: boolean;
  attemptedAt: Date | null;
  lastStatus: number | null;
  lastError: string | null;
  endedAt: Date | null;
}

/** Of a table, alias or CTE named `delivery`. */
export const deliveryColumns = Prisma.raw(`
  delivery.id, delivery.number, delivery.webhook_id AS "webhookId", delivery.message_id AS "messageId", delivery.type,
  delivery.occurred_at AS "occurredAt", delivery.status, delivery.attempts, delivery.due_at AS "dueAt",
  coalesce(delivery.taken_until > now(), false) AS "isUnderWay", delivery.attempted_at AS "attemptedAt",
  delivery.last_status AS "lastStatus", delivery.last_error AS "lastError", delivery.ended_at AS "endedAt"`);

export const messageTypes = z.enum([...webhookEventTypes, webhookTestType]);

export function deliveryFromRow(row: DeliveryRow): WebhookDelivery {
  const { id, webhookId, messageId, occurredAt, status, attempts, attemptedAt, lastStatus, lastError } = row;
  return {
    ...{ id, webhookId, messageId, occurredAt, status, attempts, attemptedAt, lastStatus, lastError },
    type: messageTypes.parse(row.type),
    nextAttemptAt: status === "pending" && !row.isUnderWay ? row.dueAt : null,
    endedAt: row.endedAt,
  };
}
