/** The owner of jobs. */
export interface Tenant {
  id: string;
  /** A slug. The tenant `default` always exists, and owns jobs that come without a key on loopback. */
  name: string;
}

export interface TenantStore {
  /** Makes sure that tenants of these names exist; returns them in the given order. */
  ensureTenants(names: readonly string[]): Promise<Tenant[]>;
  defaultTenant(): Promise<Tenant>;
}
