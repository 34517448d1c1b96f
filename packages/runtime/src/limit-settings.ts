import { type z } from "zod";
import { wholeNumber } from "./setting-values.ts";

/** How much of this installation one tenant, or one client, may take. */
export interface LimitSettings {
  /** The limits of each tenant for which an operator has not set others; `null` means without a limit. */
  readonly tenantLimits: {
    readonly jobsQueuedMax: number;
    readonly jobsRunningMax: number | null;
    readonly requestsPerMinute: number;
    readonly requestsAtOnce: number;
    readonly streamsMax: number;
  };
  /** Jobs wait in at most this many lanes; jobs of further lanes wait in the lane `default`. */
  readonly lanesMax: number;
  /** One API process holds at most this many bytes of request bodies at once. */
  readonly bodyBytesAtOnce: number;
  /** After this many wrong keys within a minute, an API process no longer checks keys from that client address. */
  readonly wrongKeysPerMinute: number;
}

const mebibyte = 1024 * 1024;

/** The variables of these settings, in the order of `.env.example`. */
export const limitVariables = {
  TENANT_JOBS_QUEUED_MAX: wholeNumber(0, 10_000_000).default(200_000),
  TENANT_JOBS_RUNNING_MAX: wholeNumber(0, 100_000).optional(),
  TENANT_REQUESTS_PER_MINUTE: wholeNumber(1, 10_000_000).default(120_000),
  TENANT_REQUESTS_AT_ONCE: wholeNumber(1, 100_000).default(500),
  TENANT_STREAMS_MAX: wholeNumber(0, 100_000).default(500),
  LANES_MAX: wholeNumber(1, 10_000).default(200),
  BODY_BYTES_AT_ONCE: wholeNumber(40 * mebibyte, 1024 * 1024 * mebibyte).default(256 * mebibyte),
  WRONG_KEYS_PER_MINUTE: wholeNumber(1, 1_000_000).default(10),
};

export function limitsFrom(values: z.infer<z.ZodObject<typeof limitVariables>>): LimitSettings {
  return {
    tenantLimits: {
      jobsQueuedMax: values.TENANT_JOBS_QUEUED_MAX,
      jobsRunningMax: values.TENANT_JOBS_RUNNING_MAX ?? null,
      requestsPerMinute: values.TENANT_REQUESTS_PER_MINUTE,
      requestsAtOnce: values.TENANT_REQUESTS_AT_ONCE,
      streamsMax: values.TENANT_STREAMS_MAX,
    },
    lanesMax: values.LANES_MAX,
    bodyBytesAtOnce: values.BODY_BYTES_AT_ONCE,
    wrongKeysPerMinute: values.WRONG_KEYS_PER_MINUTE,
  };
}
