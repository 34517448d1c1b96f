import { StoreUnavailableError } from "@genga/jobs";
import { LRUCache } from "lru-cache";
import { mapDatabaseError } from "./database-errors.ts";
import { Gatherer } from "./gatherer.ts";

/** Items that one statement takes, unless it is told otherwise. */
const togetherByDefault = 64;
/** A statement that takes longer waits for something, and later items need not wait for it. */
const slowMs = 250;
/** Of one tenant, at the same time. */
const runsMax = 4;
/** Tenants that are remembered. */
const tenantsMax = 1_000;

/**
 * Runs together what comes for one tenant while something of that tenant is under way (`Gatherer`). If that
 * fails for another reason than an outage, each is run alone.
 */
export class TenantGatherers<Item, Result> {
  readonly #run: (tenantId: string, items: Item[]) => Promise<Result[]>;
  readonly #togetherMax: number;
  readonly #tenants = new LRUCache<string, Gatherer<Item, Result>>({ max: tenantsMax });

  /** @param run has an effect for all items, or none; the results are in the order of the items */
  constructor(
    run: (tenantId: string, items: Item[]) => Promise<Result[]>,
    { togetherMax = togetherByDefault }: { togetherMax?: number } = {},
  ) {
    this.#run = run;
    this.#togetherMax = togetherMax;
  }

  add(tenantId: string, item: Item): Promise<Result> {
    return this.#of(tenantId).add(item);
  }

  #of(tenantId: string): Gatherer<Item, Result> {
    const known = this.#tenants.get(tenantId);
    if (known !== undefined) return known;
    const gatherer = new Gatherer<Item, Result>({
      run: (items) => this.#run(tenantId, items),
      fits: (_item, together) => together.length < this.#togetherMax,
      isOfOne: (error) => !(mapDatabaseError(error) instanceof StoreUnavailableError),
      ...{ slowMs, runsMax },
    });
    this.#tenants.set(tenantId, gatherer);
    return gatherer;
  }
}
