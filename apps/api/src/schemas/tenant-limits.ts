import { z } from "zod";

const choice = (min: number, max: number): z.ZodNullable<z.ZodInt> => z.int().min(min).max(max).nullable();

/** The limits that an operator chose for one tenant; `null` = the configured default holds. */
export const tenantLimitChoicesSchema = z.strictObject({
  jobsQueuedMax: choice(0, 10_000_000).describe("Waiting jobs, including those that wait for a retry."),
  jobsRunningMax: choice(0, 100_000).describe(
    "Jobs on servers at the same time; 0 = no job of the tenant runs.",
  ),
  requestsPerMinute: choice(1, 10_000_000),
  requestsAtOnce: choice(1, 100_000).describe("Requests at the same time, without event streams."),
  streamsMax: choice(0, 100_000).describe("Open event streams at the same time."),
  weight: z
    .number()
    .min(0.1)
    .max(16)
    .nullable()
    .default(null)
    .describe(
      "The tenant's share of GPU time: of two tenants with waiting jobs, one of weight 2 gets twice the GPU time of one " +
        "of weight 1. It holds for jobs that are accepted from now on. null or absent = 1.",
    ),
});

export const tenantLimitsViewSchema = z.object({
  tenant: z.string(),
  choices: tenantLimitChoicesSchema,
  limits: z
    .object({
      jobsQueuedMax: z.int(),
      jobsRunningMax: z.int().nullable().describe("null = no limit."),
      requestsPerMinute: z.int(),
      requestsAtOnce: z.int(),
      streamsMax: z.int(),
      weight: z.number(),
    })
    .describe(
      "The limits that hold: the choices, and for the rest the defaults of the process that answers.",
    ),
});
