import { LRUCache } from "lru-cache";
import pTimeout from "p-timeout";
import {
  limitsOf,
  noTenantLimitChoices,
  StoreUnavailableError,
  type TenantLimitChoices,
  type TenantLimits,
  type TenantLimitStore,
} from "@genga/jobs";

/** A change that an operator makes to a tenant's limits holds in every process after at most this long. */
const freshMs = 5_000;
/** The first request of a tenant waits this long for the tenant's limits; after that the default limits hold for it. */
const patienceMs = 500;
const tenantsMax = 10_000;

interface Known {
  limits: TenantLimits;
  readAt: number;
  isBeingRead: boolean;
}

/**
 * A cache of the tenants' limits, so that requests need no query. Reading never fails: limits that could not be read
 * are the defaults.
 */
export class KnownLimits {
  readonly #store: Pick<TenantLimitStore, "findChoices">;
  readonly #defaults: TenantLimits;
  readonly #known = new LRUCache<string, Known>({ max: tenantsMax });
  readonly #log: { warn(details: object, message: string): void };

  constructor(parts: {
    store: Pick<TenantLimitStore, "findChoices">;
    defaults: Omit<TenantLimits, "weight">;
    log: { warn(details: object, message: string): void };
  }) {
    this.#store = parts.store;
    this.#defaults = limitsOf(parts.defaults, noTenantLimitChoices);
    this.#log = parts.log;
  }

  async of(tenantId: string): Promise<TenantLimits> {
    const known = this.#known.get(tenantId);
    if (known === undefined) return await this.#first(tenantId);
    if (!known.isBeingRead && performance.now() - known.readAt > freshMs) void this.#read(tenantId);
    return known.limits;
  }

  /** The limits of a tenant for which an operator made these choices. */
  resolve(choices: TenantLimitChoices): TenantLimits {
    return limitsOf(this.#defaults, choices);
  }

  /** Puts the choices that an operator just made for a tenant into the cache. */
  learn(tenantId: string, choices: TenantLimitChoices): TenantLimits {
    const limits = this.resolve(choices);
    this.#known.set(tenantId, { limits, readAt: performance.now(), isBeingRead: false });
    return limits;
  }

  async #first(tenantId: string): Promise<TenantLimits> {
    const limits = await pTimeout(this.#read(tenantId), { milliseconds: patienceMs, fallback: () => null });
    return limits ?? this.#known.get(tenantId)?.limits ?? this.#defaults;
  }

  /** Returns `null` when the database did not answer; the next read follows after `freshMs`. */
  async #read(tenantId: string): Promise<TenantLimits | null> {
    const known = this.#known.get(tenantId);
    if (known !== undefined) known.isBeingRead = true;
    try {
      return this.learn(tenantId, await this.#store.findChoices(tenantId));
    } catch (error) {
      if (!(error instanceof StoreUnavailableError))
        this.#log.warn({ err: error }, "a tenant's limits could not be read");
      if (known !== undefined) {
        known.readAt = performance.now();
        known.isBeingRead = false;
      }
      return null;
    }
  }
}
