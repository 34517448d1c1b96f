import { type Database } from "@genga/database";
import { openSecretBox, type Signals } from "@genga/jobs";
import { type Logger, type ServiceConfiguration } from "@genga/runtime";
import { createDeliverer, type WebhookMetrics } from "@genga/webhooks";
import { openNewWebhooks, type NewWebhooks } from "./new-webhooks.ts";

/** What takes webhooks, and what sends to them from this process; `end` stops the latter. */
export function webhookParts(
  settings: ServiceConfiguration,
  parts: { database: Database; signals: Signals; metrics: WebhookMetrics; log: Logger },
): { newWebhooks: NewWebhooks; end: () => Promise<void> } {
  const { database, signals, metrics, log } = parts;
  const secretBox = openSecretBox(settings.secretsKeys);
  const deliverer = createDeliverer(settings, {
    ...{ queue: database.webhookQueue, sequencer: database.eventSequencer },
    ...{ signals, secretBox, metrics, log },
  });
  deliverer.start();
  return {
    newWebhooks: openNewWebhooks(settings),
    end: () => deliverer.stop(),
  };
}
