import { z } from "zod";

const days = z.number().nullable();

export const retentionViewSchema = z
  .object({
    endedJobs: z
      .object({
        days: days.describe("Since their end."),
        jobs: z.int().nullable(),
        bytes: z.number().nullable().describe("Of their outputs."),
      })
      .describe("What is kept of each tenant's ended jobs; the oldest are removed first."),
    unusedUploadsDays: days.describe("An upload without a job, since it was last sent or named."),
    removedIdsDays: days.describe("For how long the id of a removed job is answered with 410."),
    webhookDeliveriesDays: z.number(),
  })
  .describe("null = without a limit.");
