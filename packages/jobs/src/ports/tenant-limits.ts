import { type Actor } from "./audit-store.ts";
import { type Tenant } from "./tenant-store.ts";

/** What one tenant may have and do. `null` = as much as there is. */
export interface TenantLimits {
  /** Jobs that wait. */
  jobsQueuedMax: number;
  /** Jobs that ComfyUI servers hold at once, running or next to run. */
  jobsRunningMax: number | null;
  requestsPerMinute: number;
  /** Requests that are under way at once. */
  requestsAtOnce: number;
  /** Event streams that are open at once. */
  streamsMax: number;
}

/** What an operator set for one tenant; `null` = the configured default holds. */
export type TenantLimitChoices = { [Name in keyof TenantLimits]: number | null };

export const noTenantLimitChoices: Readonly<TenantLimitChoices> = {
  jobsQueuedMax: null,
  jobsRunningMax: null,
  requestsPerMinute: null,
  requestsAtOnce: null,
  streamsMax: null,
};

/** The limits of a tenant: what was chosen for it, else the defaults. */
export function limitsOf(defaults: TenantLimits, choices: TenantLimitChoices): TenantLimits {
  return {
    jobsQueuedMax: choices.jobsQueuedMax ?? defaults.jobsQueuedMax,
    jobsRunningMax: choices.jobsRunningMax ?? defaults.jobsRunningMax,
    requestsPerMinute: choices.requestsPerMinute ?? defaults.requestsPerMinute,
    requestsAtOnce: choices.requestsAtOnce ?? defaults.requestsAtOnce,
    streamsMax: choices.streamsMax ?? defaults.streamsMax,
  };
}

/** What operators set per tenant. @throws StoreUnavailableError */
export interface TenantLimitStore {
  /** `null` = there is no such tenant. */
  findByName(name: string): Promise<{ tenant: Tenant; choices: TenantLimitChoices } | null>;
  findChoices(tenantId: string): Promise<TenantLimitChoices>;
  /** Recorded as an event of whoever chose. */
  saveChoices(tenantId: string, choices: TenantLimitChoices, by: Actor): Promise<void>;
}
