import { StoreUnavailableError, type KeyStore, type Tenant, type TenantStore } from "@genga/jobs";
import { type Logger, type ServiceConfiguration } from "@genga/runtime";
import pRetry from "p-retry";
import { ConfiguredKeys } from "./configured-keys.ts";

const firstConnectionRetryMs = 500;

/** Creates the tenants of all keys of API_KEYS before the first request is served. */
export async function prepareTenants(
  { keys, tenants }: { keys: KeyStore; tenants: TenantStore },
  { apiKeys }: Pick<ServiceConfiguration, "apiKeys">,
  log: Logger,
  signal: AbortSignal,
): Promise<{ defaultTenant: Tenant; configuredKeys: ConfiguredKeys }> {
  const prepare = async (): Promise<{ defaultTenant: Tenant; configuredKeys: ConfiguredKeys }> => {
    const copies = await keys.removeCopies();
    if (copies > 0) log.info({ copies }, "copies of API_KEYS that an earlier version made were removed");
    return {
      configuredKeys: await ConfiguredKeys.open(apiKeys, tenants),
      defaultTenant: await tenants.defaultTenant(),
    };
  };
  return await pRetry(prepare, {
    retries: Infinity,
    minTimeout: firstConnectionRetryMs,
    factor: 1,
    signal,
    shouldRetry: ({ error }) => {
      if (!(error instanceof StoreUnavailableError)) return false;
      log.warn({ err: error }, "waiting for PostgreSQL");
      return true;
    },
  });
}
