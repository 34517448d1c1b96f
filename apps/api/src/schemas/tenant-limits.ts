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
    })
    .describe(
      "The limits that hold: the choices, and for the rest the defaults of the process that answers.",
    ),
});
