import { type Json } from "../job/job.ts";
import {
  type NewWebhook,
  type Webhook,
  type WebhookDelivery,
  type WebhookDeliveryStatus,
  type WebhookEventType,
} from "../job/webhook.ts";

/**
 * The webhooks of tenants, and what was sent to them. Those of another tenant are as if they did not exist: `null`. Every
 * method throws `StoreUnavailableError` when the database cannot be reached.
 */
export interface WebhookStore {
  /** Stores a webhook for all jobs of a tenant. `"full"` = the tenant has `countMax` of these already. */
  addWebhook(tenantId: string, webhook: NewWebhook, countMax: number): Promise<Webhook | "full">;
  /** Those for all jobs of the tenant, oldest first. */
  listWebhooks(tenantId: string): Promise<Webhook[]>;
  findWebhook(tenantId: string, id: string): Promise<Webhook | null>;
  /** To enable a webhook also forgets its failures. */
  changeWebhook(
    tenantId: string,
    id: string,
    change: { url?: string; events?: WebhookEventType[]; enabled?: boolean },
  ): Promise<Webhook | null>;
  /** The previous secret goes on signing, beside the new one, for the overlap. */
  rotateSecret(
    tenantId: string,
    id: string,
    secret: { sealed: Uint8Array; overlapMs: number },
  ): Promise<Webhook | null>;
  /** Nothing is sent any more; what waited to be sent is given up. */
  removeWebhook(tenantId: string, id: string): Promise<boolean>;
  /** Newest first. @param page.cursor `nextCursor` of the previous page */
  listDeliveries(
    tenantId: string,
    webhookId: string,
    page: { limit: number; cursor?: string; status?: WebhookDeliveryStatus },
  ): Promise<{ items: WebhookDelivery[]; nextCursor: string | null } | null>;
  findDelivery(tenantId: string, id: string): Promise<WebhookDelivery | null>;
  /**
   * Makes a delivery due now, with attempts as if it were new. One that is under way is left alone. `"disabled"` = its webhook
   * is disabled.
   */
  redeliver(tenantId: string, id: string): Promise<WebhookDelivery | "disabled" | null>;
  /** Makes a test message due; while another one waits, that one is returned. */
  addTest(tenantId: string, webhookId: string): Promise<WebhookDelivery | "disabled" | null>;
}

/** A delivery that this process makes an attempt at, until its lease runs out. */
export interface DueDelivery {
  id: string;
  /** Of this attempt; whoever takes the delivery later has a higher one. */
  attempt: number;
  messageId: string;
  type: WebhookDelivery["type"];
  occurredAt: Date;
  /** Attempts are repeated for some time from here. */
  begunAt: Date;
  facts: Record<string, Json>;
  webhook: {
    id: string;
    tenantId: string;
    url: string;
    sealedSecret: Uint8Array;
    /** The secret before the last rotation, while it is valid. */
    sealedPrevious: Uint8Array | null;
  };
}

/** The end of an attempt. */
export type DeliveryResult =
  | { kind: "delivered"; status: number }
  /** `retryInMs`: `null` = it is given up. `isGone`: the receiver wants nothing any more. */
  | { kind: "failed"; status: number | null; error: string; retryInMs: number | null; isGone: boolean };

/** Attempts under way in this process, by which it does not begin too many for one webhook or tenant. */
interface UnderWay {
  byWebhook: ReadonlyMap<string, number>;
  byTenant: ReadonlyMap<string, number>;
}

interface TakeLimits {
  total: number;
  ofWebhook: number;
  ofTenant: number;
}

/**
 * What waits to be sent, for the processes that send. Any of them may call any method at any time: each delivery is with one
 * of them at a time. Every method throws `StoreUnavailableError` when the database cannot be reached.
 */
export interface WebhookQueue {
  /**
   * Takes deliveries that are due, for a lease; one whose process has died is due again when its lease has run out. Each tenant
   * gets its share, whatever backlog the others have. Deliveries of a disabled or removed webhook are given up instead.
   */
  take(limits: TakeLimits, underWay: UnderWay, leaseMs: number): Promise<DueDelivery[]>;
  /**
   * Records the end of an attempt, unless another process has taken the delivery since. What an earlier URL of the webhook
   * answered does not change the webhook.
   * @param disableAfterMs a webhook whose attempts have all failed for so long is disabled
   * @returns whether the webhook was disabled by this
   */
  record(
    delivery: Pick<DueDelivery, "id" | "attempt" | "webhook">,
    result: DeliveryResult,
    disableAfterMs: number,
  ): Promise<{ isRecorded: boolean; isDisabled: boolean }>;
  /** Of a process that stops: others may make the next attempts at once. */
  giveBack(deliveries: readonly Pick<DueDelivery, "id" | "attempt">[]): Promise<void>;
  /** In how many milliseconds the next delivery is due, `null` = none waits; and whether events wait for their positions. */
  look(): Promise<{ dueInMs: number | null; hasUnsequenced: boolean }>;
  countPending(): Promise<number>;
  /**
   * Removes deliveries that ended longer ago than `ageMs`, and webhooks that nobody needs any more: those that were removed,
   * and those of removed jobs and batches, without deliveries.
   */
  removeOld(ageMs: number, limit: number): Promise<{ deliveries: number; webhooks: number }>;
}
