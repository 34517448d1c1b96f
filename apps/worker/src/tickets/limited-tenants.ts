import { type Candidate } from "@genga/jobs";

/** How many limited tenants are remembered. */
const limitedTenantsMax = 10_000;

/** Tenants with a limit of running jobs, as far as the candidates that this worker has read tell. */
export class LimitedTenants {
  readonly #tenantIds = new Set<string>();

  has(tenantId: string): boolean {
    return this.#tenantIds.has(tenantId);
  }

  /** @returns how many more jobs each limited tenant may have running */
  placesOf(candidates: readonly Candidate[]): Map<string, number> {
    const places = new Map<string, number>();
    for (const { tenantId, tenantRoom } of candidates) {
      if (tenantRoom === null) this.#tenantIds.delete(tenantId);
      else {
        places.set(tenantId, tenantRoom);
        if (this.#tenantIds.size >= limitedTenantsMax) this.#tenantIds.clear();
        this.#tenantIds.add(tenantId);
      }
    }
    return places;
  }
}
