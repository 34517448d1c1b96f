import { z } from "zod";

const endCounts = z.array(
  z.object({
    at: z.iso.datetime().describe("The begin of the step."),
    ...{ completed: z.int(), failed: z.int(), timeout: z.int(), cancelled: z.int() },
  }),
);

/** How many jobs ended over time. */
export const statisticsViewSchema = z.object({
  since: z.iso.datetime(),
  until: z.iso.datetime().describe("Now: the last step is not over yet."),
  stepMs: z.int(),
  steps: endCounts.describe("Without those in which no job ended."),
  allTenants: endCounts.optional().describe("Shown to keys of the role operate."),
});
