import {
  limitsOf,
  StoreUnavailableError,
  type TenantLimitChoices,
  type TenantLimits,
  type TenantLimitStore,
} from "@genga/jobs";

/** What an operator sets for a tenant holds in every process after this long. */
const freshMs = 5_000;
/** A first request waits so long for the tenant's limits; then the defaults hold. */
const patienceMs = 500;
const tenantsMax = 10_000;

interface Known {
  limits: TenantLimits;
  readAt: number;
  isBeingRead: boolean;
}

/** The limits of tenants, without a look at the database for each request. Never fails: what is not known is the default. */
export class KnownLimits {
  readonly #store: Pick<TenantLimitStore, "findChoices">;
  readonly #defaults: TenantLimits;
  readonly #known = new Map<string, Known>();
  readonly #log: { warn(details: object, message: string): void };

  constructor(parts: {
    store: Pick<TenantLimitStore, "findChoices">;
    defaults: TenantLimits;
    log: { warn(details: object, message: string): void };
  }) {
    this.#store = parts.store;
    this.#defaults = parts.defaults;
    this.#log = parts.log;
  }

  async of(tenantId: string): Promise<TenantLimits> {
    const known = this.#known.get(tenantId);
    if (known === undefined) return await this.#first(tenantId);
    if (!known.isBeingRead && performance.now() - known.readAt > freshMs) void this.#read(tenantId);
    return known.limits;
  }

  /** What holds for a tenant of these choices. */
  resolve(choices: TenantLimitChoices): TenantLimits {
    return limitsOf(this.#defaults, choices);
  }

  /** What was just chosen holds here at once. */
  learn(tenantId: string, choices: TenantLimitChoices): TenantLimits {
    const limits = this.resolve(choices);
    if (!this.#known.has(tenantId) && this.#known.size >= tenantsMax) this.#known.clear();
    this.#known.set(tenantId, { limits, readAt: performance.now(), isBeingRead: false });
    return limits;
  }

  async #first(tenantId: string): Promise<TenantLimits> {
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<null>((resolve) => {
      timer = setTimeout(resolve, patienceMs, null);
    });
    const limits = await Promise.race([this.#read(tenantId), patience]);
    clearTimeout(timer);
    return limits ?? this.#known.get(tenantId)?.limits ?? this.#defaults;
  }

  /** `null` when the database did not tell; it is asked again a while later. */
  async #read(tenantId: string): Promise<TenantLimits | null> {
    const known = this.#known.get(tenantId);
    if (known !== undefined) known.isBeingRead = true;
    try {
      return this.learn(tenantId, await this.#store.findChoices(tenantId));
    } catch (error) {
      if (!(error instanceof StoreUnavailableError))
        this.#log.warn({ err: error }, "limits could not be read");
      if (known !== undefined) {
        known.readAt = performance.now();
        known.isBeingRead = false;
      }
      return null;
    }
  }
}
