import { type TenantLimitName } from "../job/job-errors.ts";

/** What a tenant may have a number of at once, over all processes. */
export type PlaceKind = Extract<TenantLimitName, "requests-at-once" | "event-streams">;

/** One of a tenant's places; whoever has it lets go of it once. */
export interface Place {
  release(): void;
}

/**
 * Counts what tenants do, over all processes together. A store that is away, slow or wiped keeps nobody waiting and
 * refuses nobody: then each process counts for itself.
 */
export interface TenantAdmissions {
  /** Counts a request. @returns how long until the next minute begins when the tenant has had `max` in this one */
  countRequest(tenantId: string, max: number): Promise<{ used: number; retryAfterMs: number } | null>;
  /** @returns how many it has when the tenant has `max` places of this kind already */
  takePlace(kind: PlaceKind, tenantId: string, max: number): Promise<Place | { used: number }>;
  close(): Promise<void>;
}
