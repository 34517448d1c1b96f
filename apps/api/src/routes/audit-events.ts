import { InvalidJobError, type AuditEvent } from "@genga/jobs";
import { problemsOf } from "@genga/workflows";
import { z } from "zod";
import { type ApiDependencies } from "../dependencies.ts";
import { type GuardedRoutes } from "../access/guarded-routes.ts";

export const auditQuerySchema = z.strictObject({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z
    .string()
    .regex(/^[1-9]\d{0,17}$/, { error: "it is not a cursor of such a page" })
    .optional()
    .describe("`nextCursor` of the page before."),
});

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

/** `GET audit-events`: what people changed, newest first, by the names of their keys. */
export function addAuditRoutes(routes: GuardedRoutes, { audit }: ApiDependencies): void {
  routes.resource("audit-events", {
    get: async (request, response) => {
      const parsed = auditQuerySchema.safeParse(request.query);
      if (!parsed.success) {
        throw new InvalidJobError(problemsOf(parsed.error, auditQuerySchema, request.query));
      }
      const { limit, cursor } = parsed.data;
      const { items, nextCursor } = await audit.listEvents({
        limit,
        ...(cursor === undefined ? {} : { cursor }),
      });
      response.json({ events: items.map(viewOfAuditEvent), nextCursor });
    },
  });
}

function viewOfAuditEvent(event: AuditEvent): z.infer<typeof auditEventViewSchema> {
  const { id, createdAt, keyName, keyTenantId, action, tenantId, subject, details } = event;
  return {
    ...{ id, at: createdAt.toISOString(), key: { name: keyName, tenantId: keyTenantId } },
    ...{ action, tenantId, subject, details },
  };
}
