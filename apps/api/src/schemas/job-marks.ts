import { jobMarks } from "@genga/jobs";
import { z } from "zod";

const mark = z.enum(jobMarks).nullable().describe("null = none.");

export const jobMarkBodySchemas = {
  NewMark: z.strictObject({ mark }),
  NewMarks: z.strictObject({ jobs: z.array(z.uuid()).min(1).max(1_000), mark }),
} as const;

export const jobMarkAnswerSchemas = {
  JobMark: z.object({ id: z.string(), mark }),
  JobMarks: z.object({
    mark,
    marked: z.array(z.string()),
    unknown: z.array(z.string()).describe("Ids of no job of the tenant."),
  }),
} as const;
