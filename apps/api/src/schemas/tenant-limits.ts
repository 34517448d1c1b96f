import { z } from "zod";

const choice = (min: number, max: number): z.ZodNullable<z.ZodInt> => z.int().min(min).max(max).nullable();

/** What an operator chooses for one tenant; `null` = the configured default holds. */
export const tenantLimitChoicesSchema = z.strictObject({
  jobsQueuedMax: choice(0, 10_000_000).describe("Jobs that wait; retries count."),
  jobsRunningMax: choice(0, 100_000).describe("Jobs that servers hold at once; 0 = nothing of it runs."),
  requestsPerMinute: choice(1, 10_000_000),
  requestsAtOnce: choice(1, 100_000).describe("Requests under way at once, event streams aside."),
  streamsMax: choice(0, 100_000).describe("Event streams that are open at once."),
});

export const tenantLimitsViewSchema = z.object({
  tenant: z.string(),
  choices: tenantLimitChoicesSchema,
  limits: z
    .object({
      jobsQueuedMax: z.int(),
      jobsRunningMax: z.int().nullable().describe("null = any number."),
      requestsPerMinute: z.int(),
      requestsAtOnce: z.int(),
      streamsMax: z.int(),
    })
    .describe("What holds: the choices, else the defaults of the process that answers."),
});
