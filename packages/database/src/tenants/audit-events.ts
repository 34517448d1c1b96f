import { type AuditEvent, type AuditStore, type NewAuditEvent } from "@genga/jobs";
import { z } from "zod";
import { withMappedErrors } from "../connection/database-errors.ts";
import { type Prisma, type PrismaClient } from "../generated/client.ts";

/** Records what a person changed, in the transaction of the change, so that neither is stored without the other. */
export async function recordAuditEvent(
  transaction: Prisma.TransactionClient,
  event: NewAuditEvent,
): Promise<void> {
  const { by, action, tenantId = null, subject = null, details = {} } = event;
  // The event gets the time of the transaction; Prisma's own default would be another.
  await transaction.$executeRaw`
    INSERT INTO audit_events (key_name, key_tenant_id, tenant_id, action, subject, details)
    VALUES (${by.keyName}, ${by.tenantId}::uuid, ${tenantId}::uuid, ${action}, ${subject}, ${JSON.stringify(details)}::jsonb)`;
}

const detailsSchema = z.record(z.string(), z.json());

/** Reads audit events from PostgreSQL. */
export class PrismaAuditStore implements AuditStore {
  readonly #database: PrismaClient;

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  listEvents(page: {
    limit: number;
    cursor?: string;
  }): Promise<{ items: AuditEvent[]; nextCursor: string | null }> {
    return withMappedErrors(async () => {
      const rows = await this.#database.auditEvent.findMany({
        ...(page.cursor === undefined ? {} : { where: { id: { lt: BigInt(page.cursor) } } }),
        orderBy: { id: "desc" },
        take: page.limit + 1,
      });
      const items = rows.slice(0, page.limit).map((row) => ({
        ...row,
        id: String(row.id),
        details: detailsSchema.parse(row.details),
      }));
      const last = items.at(-1);
      return { items, nextCursor: rows.length > page.limit && last !== undefined ? last.id : null };
    });
  }
}
