import { createHash } from "node:crypto";
import { type Principal, type TenantStore } from "@genga/jobs";
import { type ApiKey } from "@genga/runtime";

/** The keys of API_KEYS: known to this process and to no other, so they work while the database is away. */
export class ConfiguredKeys {
  readonly #principals: ReadonlyMap<string, Principal>;

  private constructor(principals: ReadonlyMap<string, Principal>) {
    this.#principals = principals;
  }

  /** Makes the tenants of these keys where they are missing. @throws StoreUnavailableError */
  static async open(keys: readonly ApiKey[], tenants: TenantStore): Promise<ConfiguredKeys> {
    const owners = await tenants.ensureTenants(keys.map(({ tenant }) => tenant));
    const counts = new Map<string, number>();
    const principals = new Map<string, Principal>();
    for (const [index, { key, role }] of keys.entries()) {
      const tenant = owners[index];
      if (tenant === undefined) throw new Error("A tenant of API_KEYS was not made.");
      const place = `${tenant.name}:${role}`;
      const count = (counts.get(place) ?? 0) + 1;
      counts.set(place, count);
      principals.set(hashOf(key), {
        tenant,
        role,
        // Such keys have no names of their own, and no part of a key may be shown.
        keyName: `API_KEYS ${place}${count === 1 ? "" : `, number ${count}`}`,
      });
    }
    return new ConfiguredKeys(principals);
  }

  get size(): number {
    return this.#principals.size;
  }

  /** Looked up by its hash: how long that takes says nothing about the key. */
  find(key: string): Principal | undefined {
    return this.#principals.get(hashOf(key));
  }
}

function hashOf(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}
