import {
  noTenantLimitChoices,
  type Actor,
  type Tenant,
  type TenantLimitChoices,
  type TenantLimitStore,
} from "@genga/jobs";
import { recordAuditEvent } from "./audit-events.ts";
import { withMappedErrors } from "../connection/database-errors.ts";
import { type PrismaClient } from "../generated/client.ts";

const choiceColumns = {
  jobsQueuedMax: true,
  jobsRunningMax: true,
  requestsPerMinute: true,
  requestsAtOnce: true,
  streamsMax: true,
  weight: true,
} as const satisfies Record<keyof TenantLimitChoices, true>;

/** The limits that operators chose for tenants, in PostgreSQL. A tenant without a row has the configured defaults. */
export class PrismaTenantLimitStore implements TenantLimitStore {
  readonly #database: PrismaClient;

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  findByName(name: string): Promise<{ tenant: Tenant; choices: TenantLimitChoices } | null> {
    return withMappedErrors(async () => {
      const found = await this.#database.tenant.findUnique({
        where: { name },
        select: { id: true, name: true, limits: { select: choiceColumns } },
      });
      if (found === null) return null;
      const { limits, ...tenant } = found;
      return { tenant, choices: limits ?? noTenantLimitChoices };
    });
  }

  findChoices(tenantId: string): Promise<TenantLimitChoices> {
    return withMappedErrors(async () => {
      const found = await this.#database.tenantLimit.findUnique({
        where: { tenantId },
        select: choiceColumns,
      });
      return found ?? noTenantLimitChoices;
    });
  }

  saveChoices(tenantId: string, choices: TenantLimitChoices, by: Actor): Promise<void> {
    return withMappedErrors(async () => {
      const row = { ...choices, updatedAt: new Date() };
      await this.#database.$transaction(async (transaction) => {
        await transaction.tenantLimit.upsert({
          where: { tenantId },
          create: { tenantId, ...row },
          update: row,
        });
        await recordAuditEvent(transaction, { by, action: "limits-set", tenantId, details: { ...choices } });
      });
    });
  }
}
