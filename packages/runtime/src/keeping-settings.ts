import { type z } from "zod";
import { wholeNumber } from "./setting-values.ts";

/** How long, and how many, ended jobs and their files are kept; `null` means without a limit. */
export interface KeepingSettings {
  /** Limits for the ended jobs of each tenant. */
  readonly retention: {
    /** The time since a job's end. */
    readonly ageMs: number | null;
    /** The number of ended jobs. */
    readonly jobs: number | null;
    /** The bytes of their outputs. */
    readonly bytes: number | null;
  };
  /** How long an upload without a job is kept after it was last sent or named. */
  readonly uploadsUnusedMs: number | null;
  /** With less free space than this on the disk of the outputs, a worker claims no job; 0 turns the check off. */
  readonly diskFreeBytes: number;
  /** How long a removed job's id answers 410. */
  readonly removedIdsMs: number | null;
  /** How long it is kept what was sent to webhooks, and how that went. */
  readonly webhookDeliveriesMs: number;
}

const dayMs = 24 * 60 * 60_000;
const megabyte = 1_000_000;

/** The variables of these settings, in the order of `.env.example`. */
export const keepingVariables = {
  RETENTION_DAYS: wholeNumber(1, 36_500).optional(),
  RETENTION_JOBS: wholeNumber(1, 1_000_000_000).optional(),
  RETENTION_MB: wholeNumber(1, 1_000_000_000).optional(),
  UPLOADS_UNUSED_DAYS: wholeNumber(0, 36_500).default(30),
  DISK_FREE_MB: wholeNumber(0, 1_000_000_000).default(500),
  REMOVED_IDS_DAYS: wholeNumber(0, 36_500).default(365),
  WEBHOOK_DELIVERIES_DAYS: wholeNumber(1, 36_500).default(30),
};

export function keepingFrom(values: z.infer<z.ZodObject<typeof keepingVariables>>): KeepingSettings {
  return {
    retention: {
      ageMs: values.RETENTION_DAYS === undefined ? null : values.RETENTION_DAYS * dayMs,
      jobs: values.RETENTION_JOBS ?? null,
      bytes: values.RETENTION_MB === undefined ? null : values.RETENTION_MB * megabyte,
    },
    uploadsUnusedMs: values.UPLOADS_UNUSED_DAYS === 0 ? null : values.UPLOADS_UNUSED_DAYS * dayMs,
    diskFreeBytes: values.DISK_FREE_MB * megabyte,
    removedIdsMs: values.REMOVED_IDS_DAYS === 0 ? null : values.REMOVED_IDS_DAYS * dayMs,
    webhookDeliveriesMs: values.WEBHOOK_DELIVERIES_DAYS * dayMs,
  };
}
