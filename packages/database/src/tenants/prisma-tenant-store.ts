import { type Tenant, type TenantStore } from "@genga/jobs";
import { v7 as uuidv7 } from "uuid";
import { withMappedErrors } from "../connection/database-errors.ts";
import { type PrismaClient } from "../generated/client.ts";

/** The tenant of jobs that come without a key on loopback; the first migration inserts its row. */
export const defaultTenantId = "00000000-0000-7000-8000-000000000000";

/** Tenants in PostgreSQL. */
export class PrismaTenantStore implements TenantStore {
  readonly #database: PrismaClient;

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  /**
   * The names are sorted, so that two processes that start together wait for each other at the first row and never
   * deadlock.
   */
  ensureTenants(names: readonly string[]): Promise<Tenant[]> {
    return withMappedErrors(async () => {
      const wanted = [...new Set(names)];
      const ids = wanted.map(() => uuidv7());
      await this.#database.$executeRaw`
        INSERT INTO tenants (id, name)
        SELECT id, name FROM unnest(${ids}::uuid[], ${wanted}::text[]) AS new(id, name) ORDER BY name
        ON CONFLICT (name) DO NOTHING`;
      const rows = await this.#database.tenant.findMany({
        where: { name: { in: wanted } },
        select: { id: true, name: true },
      });
      const byName = new Map(rows.map((row) => [row.name, row]));
      return names.map((name) => {
        const tenant = byName.get(name);
        if (tenant === undefined) throw new Error(`The tenant ${name} was created but not returned.`);
        return tenant;
      });
    });
  }

  defaultTenant(): Promise<Tenant> {
    return withMappedErrors(() =>
      this.#database.tenant.findUniqueOrThrow({
        where: { id: defaultTenantId },
        select: { id: true, name: true },
      }),
    );
  }
}
