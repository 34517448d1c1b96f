/** Who owns jobs. */
export interface Tenant {
  id: string;
  /** A slug; `default` exists from the start and owns what comes without a key on loopback. */
  name: string;
}

export interface TenantStore {
  /** Makes sure that these tenants and keys exist (keys are stored as SHA-256 hashes, never in clear). */
  ensureApiKeys(keys: { tenant: string; key: string }[]): Promise<void>;
  /** The tenant of a key that was not revoked. */
  findTenantByKey(key: string): Promise<Tenant | null>;
  defaultTenant(): Promise<Tenant>;
}
