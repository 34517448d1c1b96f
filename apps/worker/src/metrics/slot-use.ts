/**
 * How long one server held jobs, and how long it stood empty although a job waited that it got afterwards. Times are
 * monotonic milliseconds.
 */
export class SlotUse {
  #held = 0;
  #busyMs = 0;
  #idleWhileWaitingMs = 0;
  #busySince = 0;
  /** Since when it has been empty, or since a moment when it was empty and nothing waited for it; `null` = not known. */
  #emptySince: number | null = null;
  /** Since when the job that it got next had waited while it was empty; `null` = it has a prompt, or no job waits. */
  #waitedSince: number | null = null;

  /**
   * A slot was given to a job.
   * @param waitedMs how long a ticket of the job had been waiting; `null` = the job was adopted, or that is not known
   */
  noteTaken(now: number, waitedMs: number | null): void {
    this.#held += 1;
    if (this.#held > 1) return;
    this.#busySince = now;
    this.#waitedSince =
      waitedMs === null || this.#emptySince === null ? null : Math.max(this.#emptySince, now - waitedMs);
  }

  /** The server has accepted a prompt, so it is not empty any more. */
  noteAccepted(now: number): void {
    this.#endWaiting(now);
  }

  /** A job has let go of its slot. */
  noteFreed(now: number): void {
    this.#held -= 1;
    if (this.#held > 0) return;
    this.#endWaiting(now);
    this.#busyMs += now - this.#busySince;
    this.#emptySince = now;
  }

  /** At this moment no job waited for the server's free slots. */
  noteNothingWaited(at: number): void {
    if (this.#held === 0) this.#emptySince = Math.max(this.#emptySince ?? at, at);
  }

  /** The server takes no work now, so its time until it takes work again is not idle time. */
  noteUnavailable(): void {
    this.#emptySince = null;
  }

  /** How long it has held one or more jobs. */
  busyMs(now: number): number {
    return this.#busyMs + (this.#held > 0 ? now - this.#busySince : 0);
  }

  get idleWhileWaitingMs(): number {
    return this.#idleWhileWaitingMs;
  }

  #endWaiting(now: number): void {
    if (this.#waitedSince === null) return;
    this.#idleWhileWaitingMs += now - this.#waitedSince;
    this.#waitedSince = null;
  }
}
