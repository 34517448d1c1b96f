/** Where events are sent, and what is sent there. */

/** What a webhook is for: all jobs of its tenant, those of a batch, or one job. */
type WebhookScope = "tenant" | "batch" | "job";

/** The events that webhooks are sent. Those of jobs are the ends of jobs, and the begin of each execution. */
export const webhookEventTypes = [
  "job.started",
  "job.completed",
  "job.failed",
  "job.timeout",
  "job.cancelled",
  "batch.ended",
] as const;
export type WebhookEventType = (typeof webhookEventTypes)[number];

/** A webhook whose submission or registration names no events gets those after which there is nothing to wait for. */
export const usualWebhookEvents: readonly WebhookEventType[] = webhookEventTypes.filter(
  (type) => type !== "job.started",
);

/** Why a webhook gets nothing: it was switched off, its receiver said that it is gone (410), or it has failed for days. */
type WebhookDisabledReason = "by-request" | "gone" | "failing";

export interface Webhook {
  /** That of a batch or a job has its id. */
  id: string;
  tenantId: string;
  scope: WebhookScope;
  url: string;
  events: WebhookEventType[];
  disabled: { at: Date; reason: WebhookDisabledReason } | null;
  /** When the first attempt failed after which none succeeded; `null` = the last one succeeded, or there was none. */
  failingSince: Date | null;
  /** After a rotation: until when the previous secret signs as well. */
  previousValidUntil: Date | null;
  createdAt: Date;
}

/** A webhook that is about to be stored. */
export interface NewWebhook {
  id: string;
  url: string;
  events: WebhookEventType[];
  sealedSecret: Uint8Array;
}

/** The webhook that a submission names for its job or batch. */
export interface SubmittedWebhook {
  url: string;
  events?: WebhookEventType[];
  secret: string;
}

/** For which row a webhook's secret is encrypted. */
export function webhookSecretIdentity(webhookId: string): string {
  return `webhooks/${webhookId}/secret`;
}

export const webhookDeliveryStatuses = ["pending", "delivered", "failed"] as const;
export type WebhookDeliveryStatus = (typeof webhookDeliveryStatuses)[number];

/** A message that a test sends. */
export const webhookTestType = "webhook.test";

/** One event for one webhook. */
export interface WebhookDelivery {
  id: string;
  webhookId: string;
  /** The same in all attempts, and of an event for all of its webhooks. */
  messageId: string;
  type: WebhookEventType | typeof webhookTestType;
  occurredAt: Date;
  status: WebhookDeliveryStatus;
  attempts: number;
  /** When the next attempt is due; `null` = none is, or one is under way. */
  nextAttemptAt: Date | null;
  attemptedAt: Date | null;
  /** The status that the receiver answered last; `null` = it did not answer. */
  lastStatus: number | null;
  /** Why the last attempt failed, in words for the tenant. */
  lastError: string | null;
  /** When it was delivered, or given up. */
  endedAt: Date | null;
}
