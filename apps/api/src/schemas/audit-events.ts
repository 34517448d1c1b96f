import { z } from "zod";

export const auditEventViewSchema = z.object({
  id: z.string(),
  at: z.iso.datetime(),
  key: z.object({
    name: z.string().describe("Of the key that was sent; `npm run keys` for the command line."),
    tenantId: z.uuid().nullable(),
  }),
  action: z.string().describe("What was done: `server-drained`, `key-rotated`, `job-removed`, …"),
  tenantId: z.uuid().nullable().describe("Whose things were changed; null = the farm's."),
  subject: z.string().nullable().describe("What was changed; never a job that was removed."),
  details: z.record(z.string(), z.unknown()),
});
