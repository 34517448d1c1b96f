import { Counter, Histogram, type Registry } from "prom-client";

/** The figures of one process that sends. */
export interface WebhookMetrics {
  /** By outcome: `delivered`; `refused` = the receiver answered something else; `failed` = it did not answer. */
  attempts: Counter<"outcome">;
  /** From the event to the answer of the receiver. */
  delaySeconds: Histogram;
  disabled: Counter;
}

export function createWebhookMetrics(registry: Registry): WebhookMetrics {
  const registers = [registry];
  return {
    attempts: new Counter({
      name: "genga_webhook_attempts_total",
      help: "Attempts to send to webhooks from here, by outcome: refused = answered with another status than 2xx, failed = not answered, given_up = the last attempt that failed.",
      labelNames: ["outcome"],
      registers,
    }),
    delaySeconds: new Histogram({
      name: "genga_webhook_delay_seconds",
      help: "Time from an event to its delivery to a webhook.",
      buckets: [0.5, 1, 2, 5, 15, 60, 300, 3_600, 21_600, 86_400],
      registers,
    }),
    disabled: new Counter({
      name: "genga_webhooks_disabled_total",
      help: "Webhooks that were disabled from here, because their receivers failed for days or are gone.",
      registers,
    }),
  };
}
