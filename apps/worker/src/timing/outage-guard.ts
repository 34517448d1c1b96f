import { StoreUnavailableError } from "@genga/jobs";

/**
 * Remembers when the database was last away. Leases that ran out meanwhile say nothing about their holders, who could
 * not renew them; so for one lease length after it is back nobody takes anything over.
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

  /** Passes the result through and takes note of an outage. */
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
