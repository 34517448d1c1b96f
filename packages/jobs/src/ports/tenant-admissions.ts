import { type TenantLimitName } from "../job/job-errors.ts";

/** The things of which a tenant may have a limited number at once, counted over all processes. */
export type PlaceKind = Extract<TenantLimitName, "requests-at-once" | "event-streams">;

/** One of a tenant's places; its holder calls `release` once. */
export interface Place {
  release(): void;
}

/**
 * Counts requests and streams of tenants over all processes. If the store is unavailable, slow or wiped, no request
 * waits for it or is refused because of it: each process then counts alone.
 */
export interface TenantAdmissions {
  /**
   * Counts a request.
   * @returns the time until the next minute when the tenant has already sent `max` requests in this one
   */
  countRequest(tenantId: string, max: number): Promise<{ used: number; retryAfterMs: number } | null>;
  /** @returns the number of places in use when the tenant already has `max` places of this kind */
  takePlace(kind: PlaceKind, tenantId: string, max: number): Promise<Place | { used: number }>;
  close(): Promise<void>;
}
