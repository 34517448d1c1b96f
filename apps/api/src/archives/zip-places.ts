import { RefusedError } from "../http/problem-document.ts";

/** Zips that one process sends at once; each reads one file at a time. */
const zipsMax = 32;
/** Of one tenant, so that no tenant keeps the others from zips. */
const zipsOfTenantMax = 8;

/** The places of the zips that are being sent. */
export class ZipPlaces {
  readonly #ofTenants = new Map<string, number>();
  #taken = 0;

  /**
   * Holds a place while the action goes on.
   * @throws RefusedError `too-many-streams`
   */
  async hold<Result>(tenantId: string, action: () => Promise<Result>): Promise<Result> {
    const own = this.#ofTenants.get(tenantId) ?? 0;
    if (this.#taken >= zipsMax) throw noPlace(`This process sends ${zipsMax} zips already.`);
    if (own >= zipsOfTenantMax)
      throw noPlace(`This process sends ${zipsOfTenantMax} zips of this tenant already.`);
    this.#take(tenantId, 1);
    try {
      return await action();
    } finally {
      this.#take(tenantId, -1);
    }
  }

  #take(tenantId: string, places: 1 | -1): void {
    const own = (this.#ofTenants.get(tenantId) ?? 0) + places;
    this.#taken += places;
    if (own > 0) this.#ofTenants.set(tenantId, own);
    else this.#ofTenants.delete(tenantId);
  }
}

function noPlace(message: string): RefusedError {
  return new RefusedError("too-many-streams", message, { headers: { "retry-after": "10" } });
}
