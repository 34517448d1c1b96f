import { z } from "zod";

export const auditEventViewSchema = z.object({
  id: z.string(),
  at: z.iso.datetime(),
  key: z.object({
    name: z.string().describe("The name of the key that was used; `npm run keys` for the command line."),
    tenantId: z.uuid().nullable(),
  }),
  action: z.string().describe("What was done: `server-drained`, `key-rotated`, `job-removed`, …"),
  tenantId: z
    .uuid()
    .nullable()
    .describe("The tenant whose resource was changed; null = the change concerns the farm."),
  subject: z.string().nullable().describe("The resource that was changed; never a removed job."),
  details: z.record(z.string(), z.unknown()),
});
