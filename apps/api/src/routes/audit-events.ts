import { type AuditEvent } from "@genga/jobs";
import { z } from "zod";
import { type ApiDependencies } from "../dependencies.ts";
import { json } from "../routing/contents.ts";
import { route } from "../routing/route.ts";
import { type auditEventViewSchema } from "../schemas/audit-events.ts";

const auditQuerySchema = z.strictObject({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z
    .string()
    .regex(/^[1-9]\d{0,17}$/, { error: "is not a cursor of such a page" })
    .optional()
    .describe("`nextCursor` of the previous page."),
});

export const listAuditEvents = route({
  id: "listAuditEvents",
  tag: "keys",
  method: "GET",
  path: "audit-events",
  access: "operate",
  summary: "Changes made by people, newest first",
  description: "Changes of existing jobs are among the events of each job.",
  query: auditQuerySchema,
  answers: { 200: { description: "A page.", content: json("AuditEvents") } },
  problems: ["unknown-field", "invalid-field", "out-of-bounds", "invalid-request"],
  handler: async ({ query: { limit, cursor } }, { audit }: Pick<ApiDependencies, "audit">) => {
    const { items, nextCursor } = await audit.listEvents({
      limit,
      ...(cursor === undefined ? {} : { cursor }),
    });
    return { json: { events: items.map(viewOfAuditEvent), nextCursor } };
  },
});

function viewOfAuditEvent(event: AuditEvent): z.infer<typeof auditEventViewSchema> {
  const { id, createdAt, keyName, keyTenantId, action, tenantId, subject, details } = event;
  return {
    ...{ id, at: createdAt.toISOString(), key: { name: keyName, tenantId: keyTenantId } },
    ...{ action, tenantId, subject, details },
  };
}
