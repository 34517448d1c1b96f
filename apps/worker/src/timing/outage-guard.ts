import { StoreUnavailableError } from "@genga/jobs";
import { OwnSilence } from "./own-silence.ts";

/**
 * Remembers when the database was last unavailable, and when this process last stood still. Holders of leases could not renew
 * them then, so an expired lease does not mean that its holder is dead: what stopped this process, such as a machine without
 * processor time, may have stopped the others. Therefore no worker takes jobs over until one lease length later.
 */
export class OutageGuard {
  readonly silence: OwnSilence;
  readonly #leaseMs: number;
  readonly #now: () => number;
  #untilMs = Number.NEGATIVE_INFINITY;

  /** @param now monotonic milliseconds */
  constructor(leaseMs: number, now: () => number = () => performance.now()) {
    this.#leaseMs = leaseMs;
    this.#now = now;
    this.silence = new OwnSilence(now);
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

  /** Since when, or from when on, an expired lease means that its holder is dead; -Infinity = there was no outage. */
  get mayTakeOverFrom(): number {
    // Leases are renewed three times in their length, so whoever stood still for two thirds of it may have lost them.
    const silentUntil = this.silence.endOfLast((this.#leaseMs * 2) / 3);
    return Math.max(this.#untilMs, silentUntil + this.#leaseMs);
  }

  get mayTakeOver(): boolean {
    return this.#now() >= this.mayTakeOverFrom;
  }
}
