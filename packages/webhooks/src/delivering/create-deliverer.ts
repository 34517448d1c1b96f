import { type WebhookSettings } from "@genga/runtime";
import { AddressRules } from "../addresses/address-rules.ts";
import { type UrlRules } from "../addresses/webhook-url.ts";
import { WebhookSender } from "../sending/send-request.ts";
import { WebhookDeliverer, type WebhookDelivererOptions } from "./webhook-deliverer.ts";

export function urlRulesOf({ allowHttp, allowedNetworks }: WebhookSettings): UrlRules {
  return { allowHttp, addresses: new AddressRules(allowedNetworks) };
}

/** Makes what sends from this process, as it is configured. */
export function createDeliverer(
  { webhooks, publicUrl }: { webhooks: WebhookSettings; publicUrl: string | undefined },
  parts: Pick<WebhookDelivererOptions, "queue" | "sequencer" | "signals" | "secretBox" | "metrics" | "log">,
): WebhookDeliverer {
  const { timeoutMs, retryFirstMs: firstMs, retryForMs: forMs, disableAfterMs } = webhooks;
  return new WebhookDeliverer({
    ...parts,
    ...{ publicUrl: publicUrl ?? "", timeoutMs, disableAfterMs, backoff: { firstMs, forMs } },
    sender: new WebhookSender({ ...urlRulesOf(webhooks), timeoutMs }),
  });
}
