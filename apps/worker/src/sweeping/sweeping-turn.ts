/**
 * Whether a worker sweeps, or leaves that to others. One that may not requeue jobs whose worker is gone, since it stands still
 * again and again or cannot take servers, would otherwise keep every worker from it.
 */
export class SweepingTurn {
  readonly #leaseMs: number;
  readonly #now: () => number;
  /** Since when something waits that this worker may not do. */
  #barredSince: number | null = null;
  #leavesUntil = Number.NEGATIVE_INFINITY;

  /** @param now monotonic milliseconds */
  constructor(leaseMs: number, now: () => number = () => performance.now()) {
    this.#leaseMs = leaseMs;
    this.#now = now;
  }

  get isOwn(): boolean {
    return this.#now() >= this.#leavesUntil;
  }

  /**
   * To be called in each pass. After an outage every worker waits for a lease, so only a longer time counts.
   * @param hasOthers there are other workers, which may sweep instead
   * @returns whether this worker leaves sweeping to others now, for two leases: the first one ends its own
   */
  note({ isBarred, hasOthers }: { isBarred: boolean; hasOthers: boolean }): boolean {
    const now = this.#now();
    this.#barredSince = isBarred ? (this.#barredSince ?? now) : null;
    if (this.#barredSince === null || !hasOthers || now - this.#barredSince < 3 * this.#leaseMs) return false;
    this.#barredSince = null;
    this.#leavesUntil = now + 2 * this.#leaseMs;
    return true;
  }
}
