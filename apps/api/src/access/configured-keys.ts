import { createHash } from "node:crypto";
import { type Principal, type TenantStore } from "@genga/jobs";
import { type ApiKey } from "@genga/runtime";

/** The keys of API_KEYS. They are held in memory, so they work while the database is unavailable. */
export class ConfiguredKeys {
  readonly #principals: ReadonlyMap<string, Principal>;

  private constructor(principals: ReadonlyMap<string, Principal>) {
    this.#principals = principals;
  }

  /** Creates the tenants of these keys that do not exist yet. @throws StoreUnavailableError */
  static async open(keys: readonly ApiKey[], tenants: TenantStore): Promise<ConfiguredKeys> {
    const owners = await tenants.ensureTenants(keys.map(({ tenant }) => tenant));
    const counts = new Map<string, number>();
    const principals = new Map<string, Principal>();
    for (const [index, { key, role }] of keys.entries()) {
      const tenant = owners[index];
      if (tenant === undefined) throw new Error("A tenant of API_KEYS was not created.");
      const place = `${tenant.name}:${role}`;
      const count = (counts.get(place) ?? 0) + 1;
      counts.set(place, count);
      principals.set(hashOf(key), {
        tenant,
        role,
        // Keys of API_KEYS have no names, and no part of a key may be shown, so a key is named by its tenant and role.
        keyName: `API_KEYS ${place}${count === 1 ? "" : `, number ${count}`}`,
      });
    }
    return new ConfiguredKeys(principals);
  }

  get size(): number {
    return this.#principals.size;
  }

  /** SHA-256 of each key, in hex. */
  get hashes(): string[] {
    return [...this.#principals.keys()];
  }

  /** Whether a key has this name. */
  hasName(keyName: string): boolean {
    return [...this.#principals.values()].some((principal) => principal.keyName === keyName);
  }

  findByHash(hash: string): Principal | undefined {
    return this.#principals.get(hash);
  }

  /** Compares hashes, so that the time it takes tells nothing about the configured keys. */
  find(key: string): Principal | undefined {
    return this.#principals.get(hashOf(key));
  }
}

function hashOf(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}
