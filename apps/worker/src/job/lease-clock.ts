import { EventEmitter, once } from "node:events";

/**
 * How long our lease on a job is certainly still ours, by this process's monotonic clock: counted from the moment
 * *before* the statement that renewed it was sent, so that delays only ever make it shorter.
 */
export class LeaseClock {
  readonly #leaseMs: number;
  #renewedAt: number;
  readonly #renewals = new EventEmitter<{ renewed: [] }>();

  constructor(leaseMs: number, renewedAt: number) {
    this.#leaseMs = leaseMs;
    this.#renewedAt = renewedAt;
  }

  renewed(sentAt: number): void {
    this.#renewedAt = Math.max(this.#renewedAt, sentAt);
    this.#renewals.emit("renewed");
  }

  leftMs(now: number = performance.now()): number {
    return this.#renewedAt + this.#leaseMs - now;
  }

  /**
   * Waits until so much of the lease is left: until the heartbeat has renewed it, for at most as long as a lease lasts, and
   * not after a cancellation.
   * @returns whether so much is left
   * @throws when `stopSignal` is aborted, as it is once another worker holds the job
   */
  async untilLeft(
    wantedMs: number,
    { stopSignal, cancelSignal }: { stopSignal: AbortSignal; cancelSignal: AbortSignal },
  ): Promise<boolean> {
    if (this.leftMs() >= wantedMs) return true;
    // `AbortSignal.any` does not keep a signal of `AbortSignal.timeout` from being collected before its time
    // (nodejs/node#57736).
    const late = new AbortController();
    const timer = setTimeout(() => {
      late.abort();
    }, this.#leaseMs);
    const ended = AbortSignal.any([stopSignal, cancelSignal, late.signal]);
    try {
      while (this.leftMs() < wantedMs) await once(this.#renewals, "renewed", { signal: ended });
      return true;
    } catch {
      stopSignal.throwIfAborted();
      return false;
    } finally {
      clearTimeout(timer);
    }
  }
}
