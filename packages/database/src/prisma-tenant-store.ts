import { type Tenant, type TenantStore } from "@genga/jobs";
import { createHash } from "node:crypto";
import { v7 as uuidv7 } from "uuid";
import { withMappedErrors } from "./database-errors.ts";
import { type PrismaClient } from "./generated/client.ts";

/** Owns what comes without a key on loopback; the first migration makes its row. */
export const defaultTenantId = "00000000-0000-7000-8000-000000000000";

/** The tenants of PostgreSQL, and the hashes of their keys. */
export class PrismaTenantStore implements TenantStore {
  readonly #database: PrismaClient;

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  /**
   * May be called by several processes at once, and again at every start. A key that moved to another tenant follows; a
   * revoked one stays revoked. Sorted, so that two starts wait for each other at the first row.
   */
  ensureApiKeys(keys: { tenant: string; key: string }[]): Promise<void> {
    return withMappedErrors(async () => {
      const byKey = new Map(keys.map(({ tenant, key }) => [key, { tenant, hash: hashKey(key) }]));
      const wanted = [...byKey.values()].map((row) => ({
        ...row,
        hash: Buffer.from(row.hash).toString("hex"),
      }));
      if (wanted.length === 0) return;
      const tenants = [...new Set(wanted.map(({ tenant }) => tenant))];
      const ids = tenants.map(() => uuidv7());
      await this.#database.$executeRaw`
        INSERT INTO tenants (id, name)
        SELECT id, name FROM unnest(${ids}::uuid[], ${tenants}::text[]) AS new(id, name) ORDER BY name
        ON CONFLICT (name) DO NOTHING`;
      const rows = wanted.map((row) => ({ ...row, id: uuidv7() }));
      await this.#database.$executeRaw`
        INSERT INTO api_keys (id, tenant_id, key_hash)
        SELECT new.id, tenants.id, decode(new.hash, 'hex')
        FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) AS new(id uuid, tenant text, hash text)
        JOIN tenants ON tenants.name = new.tenant
        ORDER BY new.hash
        ON CONFLICT (key_hash) DO UPDATE SET tenant_id = excluded.tenant_id
        WHERE api_keys.tenant_id <> excluded.tenant_id`;
    });
  }

  findTenantByKey(key: string): Promise<Tenant | null> {
    return withMappedErrors(async () => {
      const found = await this.#database.apiKey.findUnique({
        where: { keyHash: hashKey(key), revokedAt: null },
        select: { tenant: { select: { id: true, name: true } } },
      });
      return found?.tenant ?? null;
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

/** Keys are long and random, so a plain hash is enough; it is never compared byte by byte but looked up. */
function hashKey(key: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHash("sha256").update(key).digest());
}
