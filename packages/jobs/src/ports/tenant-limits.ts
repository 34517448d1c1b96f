import { type Actor } from "./audit-store.ts";
import { type Tenant } from "./tenant-store.ts";

/** The limits of one tenant. `null` = no limit. */
export interface TenantLimits {
  /** Waiting jobs. */
  jobsQueuedMax: number;
  /** Jobs on ComfyUI servers at the same time, running or next to run. */
  jobsRunningMax: number | null;
  requestsPerMinute: number;
  /** Requests at the same time. */
  requestsAtOnce: number;
  /** Open event streams at the same time. */
  streamsMax: number;
  /** Of two tenants with waiting jobs, one of weight 2 gets twice the GPU time of one of weight 1. */
  weight: number;
}

/** The limits that an operator chose for one tenant; `null` = the configured default holds. */
export type TenantLimitChoices = { [Name in keyof TenantLimits]: number | null };

export const noTenantLimitChoices: Readonly<TenantLimitChoices> = {
  jobsQueuedMax: null,
  jobsRunningMax: null,
  requestsPerMinute: null,
  requestsAtOnce: null,
  streamsMax: null,
  weight: null,
};

/** The limits of a tenant: the operator's choices, and the defaults for the rest. Every tenant's weight is 1 by default. */
export function limitsOf(defaults: Omit<TenantLimits, "weight">, choices: TenantLimitChoices): TenantLimits {
  return {
    jobsQueuedMax: choices.jobsQueuedMax ?? defaults.jobsQueuedMax,
    jobsRunningMax: choices.jobsRunningMax ?? defaults.jobsRunningMax,
    requestsPerMinute: choices.requestsPerMinute ?? defaults.requestsPerMinute,
    requestsAtOnce: choices.requestsAtOnce ?? defaults.requestsAtOnce,
    streamsMax: choices.streamsMax ?? defaults.streamsMax,
    weight: choices.weight ?? 1,
  };
}

/** The limits that operators chose for tenants. @throws StoreUnavailableError */
export interface TenantLimitStore {
  /** `null` = there is no such tenant. */
  findByName(name: string): Promise<{ tenant: Tenant; choices: TenantLimitChoices } | null>;
  findChoices(tenantId: string): Promise<TenantLimitChoices>;
  /** Saves the choices and records an audit event. */
  saveChoices(tenantId: string, choices: TenantLimitChoices, by: Actor): Promise<void>;
}
