/** For this long a job is left for an empty server of another worker. */
export const leftForOthersMs = 15_000;
/** How many tickets are remembered. */
const ticketsMax = 10_000;

/**
 * The jobs that this worker could begin only where they failed last, and which it leaves for an empty server of another
 * worker. If none of these begins the job within `leftForOthersMs`, it may run where it failed last: a server must not
 * stand empty for ever beside a job that waits.
 */
export class LeftForOthers {
  readonly #since = new Map<string, number>();

  /** The job is left for others, perhaps not for the first time. @param now monotonic milliseconds */
  note(ticketId: string, now: number): void {
    if (this.#since.has(ticketId)) return;
    if (this.#since.size >= ticketsMax) this.#since.clear();
    this.#since.set(ticketId, now);
  }

  /** Whether it was left for others long enough. @param now monotonic milliseconds */
  hasWaited(ticketId: string, now: number): boolean {
    const since = this.#since.get(ticketId);
    return since !== undefined && now - since >= leftForOthersMs;
  }

  /** A slot was found for the job. */
  forget(ticketId: string): void {
    this.#since.delete(ticketId);
  }
}
