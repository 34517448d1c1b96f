/**
 * How long our lease on a job is certainly still ours, by this process's monotonic clock: counted from the moment
 * *before* the statement that renewed it was sent, so that delays only ever make it shorter.
 */
export class LeaseClock {
  readonly #leaseMs: number;
  #renewedAt: number;

  constructor(leaseMs: number, renewedAt: number) {
    this.#leaseMs = leaseMs;
    this.#renewedAt = renewedAt;
  }

  renewed(sentAt: number): void {
    this.#renewedAt = Math.max(this.#renewedAt, sentAt);
  }

  leftMs(now: number = performance.now()): number {
    return this.#renewedAt + this.#leaseMs - now;
  }
}
