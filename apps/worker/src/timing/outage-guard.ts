import { StoreUnavailableError } from "@genga/jobs";

/**
 * Remembers when the database was last unavailable. Holders of leases could not renew them then, so an expired lease
 * does not mean that its holder is dead. Therefore no worker takes jobs over until one lease length after the outage.
 */
export class OutageGuard {
  readonly #leaseMs: number;
  readonly #now: () => number;
  #untilMs = Number.NEGATIVE_INFINITY;

  /** @param now monotonic milliseconds */
  constructor(leaseMs: number, now: () => number = () => performance.now()) {
    this.#leaseMs = leaseMs;
    this.#now = now;
  }

  /** Passes the result through and notices an outage. */
  async watch<Result>(statement: Promise<Result>): Promise<Result> {
    try {
      return await statement;
    } catch (error) {
      if (error instanceof StoreUnavailableError) this.#untilMs = this.#now() + this.#leaseMs;
      throw error;
    }
  }

  get mayTakeOver(): boolean {
    return this.#now() >= this.#untilMs;
  }
}
