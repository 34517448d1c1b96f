import { type Database } from "@genga/database";
import { openSecretBox, type Signals } from "@genga/jobs";
import { type Logger, type ServiceConfiguration } from "@genga/runtime";
import { createDeliverer, type WebhookMetrics } from "@genga/webhooks";
import { openNewWebhooks, type NewWebhooks } from "./new-webhooks.ts";

/**
 * What takes webhooks, and what sends to them from this process. The latter stops when the process is asked to stop, since other
 * processes can go on with it; `end` waits for that.
 */
export function webhookParts(
  settings: ServiceConfiguration,
  parts: { database: Database; signals: Signals; metrics: WebhookMetrics; log: Logger; leaving: AbortSignal },
): { newWebhooks: NewWebhooks; end: () => Promise<void> } {
  const { database, signals, metrics, log, leaving } = parts;
  const secretBox = openSecretBox(settings.secretsKeys);
  const deliverer = createDeliverer(settings, {
    ...{ queue: database.webhookQueue, sequencer: database.eventSequencer },
    ...{ signals, secretBox, metrics, log },
  });
  deliverer.start();
  let stopped: Promise<void> | undefined;
  const end = (): Promise<void> => (stopped ??= deliverer.stop());
  const endEarly = (): void => {
    end().catch((error: unknown) => {
      log.warn({ err: error }, "sending to webhooks did not end well");
    });
  };
  leaving.addEventListener("abort", endEarly, { once: true });
  return { newWebhooks: openNewWebhooks(settings), end };
}
