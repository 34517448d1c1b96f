import {
  SecretBoxError,
  StoreUnavailableError,
  webhookSecretIdentity,
  type DeliveryResult,
  type DueDelivery,
  type EventSequencer,
  type SecretBox,
  type Signals,
  type WebhookQueue,
} from "@genga/jobs";
import { payloadOf } from "../sending/payload.ts";
import { signedHeaders } from "../sending/signature.ts";
import { type Outcome, type WebhookSender } from "../sending/send-request.ts";
import { pauseAfter, type BackoffRules } from "./backoff.ts";
import { type WebhookMetrics } from "./webhook-metrics.ts";

export interface WebhookDelivererOptions {
  queue: WebhookQueue;
  /** Has events passed on where no worker does it. */
  sequencer: Pick<EventSequencer, "assignPositions">;
  signals: Pick<Signals, "subscribe">;
  sender: Pick<WebhookSender, "post">;
  /** Absent when SECRETS_KEY is not set: then nothing can be signed, and nothing is sent from here. */
  secretBox: SecretBox | undefined;
  /** What links in payloads begin with; empty = they are paths. */
  publicUrl: string;
  /** How long one request may take. */
  timeoutMs: number;
  backoff: BackoffRules;
  disableAfterMs: number;
  metrics: WebhookMetrics;
  log: {
    debug(details: object, message: string): void;
    info(details: object, message: string): void;
    warn(details: object, message: string): void;
  };
  /** How often the database is looked at when no signal comes, for example because Redis is away. */
  lookEveryMs?: number;
}

/** Requests that one process has under way; of one tenant and one webhook fewer, since a receiver that hangs holds its own. */
const limits = { total: 64, ofTenant: 16, ofWebhook: 4 };
/** Beside the time of the request: for a slow database, and a process that was paused. */
const leaseExtraMs = 5_000;
const lookEveryDefaultMs = 5_000;
/** A process that stops waits so long for the answers to its requests. */
const stopWaitMs = 2_000;
const assignedAtOnce = 2_000;
/** Something is due that cannot be taken at this moment. */
const againMs = 250;

interface Attempt {
  delivery: DueDelivery;
  stopping: AbortController;
  done: Promise<void>;
}

/**
 * Sends what waits for webhooks. Any number of processes do this side by side: a delivery is with one of them at a time, by a
 * lease. They look when a signal says that there is something, when the next delivery is due, and now and then.
 */
export class WebhookDeliverer {
  readonly #with: WebhookDelivererOptions;
  readonly #underWay = new Map<string, Attempt>();
  #timer: NodeJS.Timeout | null = null;
  #looking: Promise<void> | null = null;
  #isAskedFor = false;
  #isStopped = false;
  #endSubscription: (() => void) | null = null;

  constructor(options: WebhookDelivererOptions) {
    this.#with = options;
  }

  start(): void {
    const { secretBox, signals, log } = this.#with;
    if (secretBox === undefined) {
      log.info({}, "SECRETS_KEY is not set, so that this process sends nothing to webhooks");
      return;
    }
    const look = (): void => {
      this.look();
    };
    signals.subscribe("deliveries-due", look, look).then(
      (end) => {
        if (this.#isStopped) end();
        else this.#endSubscription = end;
      },
      (error: unknown) => {
        log.debug({ err: error }, "a subscription ended before it began");
      },
    );
    this.look();
  }

  /** Looks for deliveries that are due, now or right after the present look. */
  look(): void {
    if (this.#isStopped) return;
    this.#isAskedFor = true;
    this.#looking ??= this.#lookOn().finally(() => {
      this.#looking = null;
      // Somebody asked between the last look and this.
      if (this.#isAskedFor) this.look();
    });
  }

  /** Waits a moment for the answers to requests under way, and leaves the rest to other processes. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#endSubscription?.();
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#looking;
    const attempts = [...this.#underWay.values()];
    const waiting = setTimeout(() => {
      for (const { stopping } of attempts) stopping.abort(new Error("This process stops."));
    }, stopWaitMs);
    await Promise.all(attempts.map(({ done }) => done));
    clearTimeout(waiting);
  }

  async #lookOn(): Promise<void> {
    let waitMs = this.#with.lookEveryMs ?? lookEveryDefaultMs;
    while (this.#isAskedFor && !this.#isStopped) {
      this.#isAskedFor = false;
      try {
        const dueInMs = await this.#takeAll();
        waitMs = Math.min(dueInMs ?? Infinity, this.#with.lookEveryMs ?? lookEveryDefaultMs);
      } catch (error) {
        const isAway = error instanceof StoreUnavailableError;
        this.#with.log[isAway ? "debug" : "warn"](
          { err: error },
          "webhooks wait for the next look at the database",
        );
      }
    }
    this.#lookIn(waitMs);
  }

  #lookIn(ms: number): void {
    if (this.#isStopped) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.look();
    }, Math.ceil(ms));
  }

  /** @returns in how many milliseconds something is due that is not taken yet; `null` = nothing, or there is no room for it */
  async #takeAll(): Promise<number | null> {
    const { queue, sequencer, timeoutMs } = this.#with;
    const first = await queue.look();
    if (first.hasUnsequenced) await sequencer.assignPositions(assignedAtOnce);
    let { dueInMs } = first.hasUnsequenced ? await queue.look() : first;
    while (dueInMs === 0 && !this.#isStopped) {
      const room = limits.total - this.#underWay.size;
      // The end of an attempt looks again.
      if (room === 0) return null;
      const takenAt = performance.now();
      const leaseMs = timeoutMs + leaseExtraMs;
      const taken = await queue.take({ ...limits, total: room }, this.#counts(), leaseMs);
      for (const delivery of taken) this.#begin(delivery, takenAt + leaseMs);
      // What is left is with other processes, or of webhooks and tenants with as many requests under way as they may have.
      if (taken.length === 0) return againMs;
      ({ dueInMs } = await queue.look());
    }
    return dueInMs;
  }

  #counts(): { byWebhook: Map<string, number>; byTenant: Map<string, number> } {
    const [byWebhook, byTenant] = [new Map<string, number>(), new Map<string, number>()];
    for (const { delivery } of this.#underWay.values()) {
      const { id, tenantId } = delivery.webhook;
      byWebhook.set(id, (byWebhook.get(id) ?? 0) + 1);
      byTenant.set(tenantId, (byTenant.get(tenantId) ?? 0) + 1);
    }
    return { byWebhook, byTenant };
  }

  #begin(delivery: DueDelivery, leaseEndsAt: number): void {
    const stopping = new AbortController();
    const attempt: Attempt = {
      ...{ delivery, stopping },
      done: this.#attempt(delivery, leaseEndsAt, stopping.signal)
        .catch((error: unknown) => {
          // The delivery is due again when its lease has run out.
          this.#with.log.warn(
            { err: error, deliveryId: delivery.id },
            "the end of an attempt could not be recorded",
          );
        })
        .finally(() => {
          this.#underWay.delete(delivery.id);
          this.look();
        }),
    };
    this.#underWay.set(delivery.id, attempt);
  }

  async #attempt(delivery: DueDelivery, leaseEndsAt: number, signal: AbortSignal): Promise<void> {
    const { queue, timeoutMs, disableAfterMs, log } = this.#with;
    // This process was paused, and another one may have the delivery by now.
    if (leaseEndsAt - performance.now() < timeoutMs) return;
    let outcome: Outcome;
    try {
      outcome = await this.#send(delivery, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
      await queue.giveBack([delivery]);
      return;
    }
    const result = this.#resultOf(delivery, outcome);
    const { isRecorded, isDisabled } = await queue.record(delivery, result, disableAfterMs);
    const about = { webhookId: delivery.webhook.id, deliveryId: delivery.id, attempt: delivery.attempt };
    if (!isRecorded) log.info(about, "another process has taken the delivery since");
    else this.#count(delivery, result);
    if (result.kind === "failed") {
      const { error, status, retryInMs } = result;
      log.info({ ...about, status, retryInMs, reason: error }, "a webhook could not be delivered");
    }
    if (!isDisabled) return;
    this.#with.metrics.disabled.inc();
    log.warn(about, "a webhook was disabled: its receiver is gone, or has failed for too long");
  }

  async #send(delivery: DueDelivery, signal: AbortSignal): Promise<Outcome> {
    const { sender, log, publicUrl } = this.#with;
    const { webhook, messageId } = delivery;
    const secrets = this.#secretsOf(delivery);
    if (secrets === null) {
      log.warn(
        { webhookId: webhook.id },
        "a webhook's secret was encrypted under a SECRETS_KEY that is not set here",
      );
      return { kind: "failed", reason: "Its secret cannot be read; rotate the webhook's secret." };
    }
    const body = payloadOf(delivery, publicUrl);
    const headers = signedHeaders({ id: messageId, at: new Date() }, body, secrets);
    return await sender.post(webhook.url, { body, headers, signal });
  }

  #secretsOf({ webhook: { id, sealedSecret, sealedPrevious } }: DueDelivery): string[] | null {
    const { secretBox } = this.#with;
    if (secretBox === undefined) return null;
    try {
      const sealed = [sealedSecret, ...(sealedPrevious === null ? [] : [sealedPrevious])];
      return sealed.map((each) => secretBox.open(each, webhookSecretIdentity(id)));
    } catch (error) {
      if (!(error instanceof SecretBoxError)) throw error;
      return null;
    }
  }

  #resultOf({ attempt, begunAt }: DueDelivery, outcome: Outcome): DeliveryResult {
    const status = outcome.kind === "answered" ? outcome.status : null;
    if (status !== null && status >= 200 && status < 300) return { kind: "delivered", status };
    const isGone = status === 410;
    const leastMs = outcome.kind === "answered" ? (outcome.retryAfterMs ?? 0) : 0;
    const ageMs = Date.now() - begunAt.getTime();
    return {
      ...{ kind: "failed", status, isGone },
      error: outcome.kind === "failed" ? outcome.reason : explained(outcome.status),
      retryInMs: isGone ? null : pauseAfter(attempt, ageMs, this.#with.backoff, { leastMs }),
    };
  }

  #count({ occurredAt }: DueDelivery, result: DeliveryResult): void {
    const { metrics } = this.#with;
    if (result.kind === "delivered") {
      metrics.attempts.inc({ outcome: "delivered" });
      metrics.delaySeconds.observe(Math.max(Date.now() - occurredAt.getTime(), 0) / 1_000);
      return;
    }
    const outcome = result.retryInMs === null ? "given_up" : result.status === null ? "failed" : "refused";
    metrics.attempts.inc({ outcome });
  }
}

function explained(status: number): string {
  if (status === 410) return "The receiver answered 410: it is gone.";
  if (status >= 300 && status < 400) return `The receiver answered ${status}; redirects are not followed.`;
  return `The receiver answered ${status}.`;
}
