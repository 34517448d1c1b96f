import { isIP } from "node:net";
import { z } from "zod";
import { list, wholeNumber } from "./setting-values.ts";

/** Where webhooks may be sent, and how often that is tried. */
export interface WebhookSettings {
  /** Also to `http:` URLs, by which everybody on the way can read along. */
  readonly allowHttp: boolean;
  /** Networks besides the public internet to which requests may go; in CIDR notation, or an address. */
  readonly allowedNetworks: readonly string[];
  /** For one request, from the lookup of the name to the end of the answer. */
  readonly timeoutMs: number;
  /** The pause after the first failed attempt; it grows from one to the next. */
  readonly retryFirstMs: number;
  /** For so long attempts are repeated. */
  readonly retryForMs: number;
  /** A webhook whose attempts have all failed for so long is disabled. */
  readonly disableAfterMs: number;
  /** The most webhooks for all of its jobs that one tenant may have. */
  readonly perTenantMax: number;
}

const hourMs = 60 * 60_000;
const dayMs = 24 * hourMs;

const networks = z
  .string()
  .transform(list)
  .pipe(
    z.array(
      z.string().refine((text) => {
        const [address = "", length, ...rest] = text.split("/");
        const bits = isIP(address) === 6 ? 128 : 32;
        const isLength = length === undefined || (/^\d{1,3}$/.test(length) && Number(length) <= bits);
        return isIP(address) !== 0 && !address.includes("%") && isLength && rest.length === 0;
      }),
      { error: "addresses and networks (10.0.0.0/8, fd00::/8), separated by commas" },
    ),
  );

/** The variables of these settings, in the order of `.env.example`. */
export const webhookVariables = {
  WEBHOOKS_ALLOW_HTTP: z
    .enum(["true", "false"], { error: "true or false" })
    .default("false")
    .transform((text) => text === "true"),
  WEBHOOKS_ALLOW_NETWORKS: networks.default([]),
  WEBHOOK_TIMEOUT_MS: wholeNumber(100, 60_000).default(15_000),
  WEBHOOK_RETRY_FIRST_MS: wholeNumber(1, hourMs).default(5_000),
  WEBHOOK_RETRY_FOR_MS: wholeNumber(0, 30 * dayMs).default(dayMs),
  WEBHOOK_DISABLE_AFTER_MS: wholeNumber(0, 365 * dayMs).default(5 * dayMs),
  WEBHOOKS_PER_TENANT: wholeNumber(0, 10_000).default(20),
};

export function webhooksFrom(values: z.infer<z.ZodObject<typeof webhookVariables>>): WebhookSettings {
  return {
    allowHttp: values.WEBHOOKS_ALLOW_HTTP,
    allowedNetworks: values.WEBHOOKS_ALLOW_NETWORKS,
    timeoutMs: values.WEBHOOK_TIMEOUT_MS,
    retryFirstMs: values.WEBHOOK_RETRY_FIRST_MS,
    retryForMs: values.WEBHOOK_RETRY_FOR_MS,
    disableAfterMs: values.WEBHOOK_DISABLE_AFTER_MS,
    perTenantMax: values.WEBHOOKS_PER_TENANT,
  };
}
