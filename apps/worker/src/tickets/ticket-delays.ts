/** A ticket whose job cannot start here now comes back after this time. */
export const notHereDelayMs = 1_000;
/** If no server here can run the job, the delay doubles each time, up to this. */
const notHereDelayMaxMs = 30_000;
/** How many tickets' delays are remembered. */
const delaysMax = 10_000;

/**
 * The delays of tickets whose jobs no server of this worker can run. They get longer each time, so that such tickets do
 * not stand before tickets that can be used.
 */
export class TicketDelays {
  readonly #delays = new Map<string, number>();

  /** @returns the delay for the ticket's next return */
  lengthen(ticketId: string): number {
    const delayMs = Math.min((this.#delays.get(ticketId) ?? notHereDelayMs / 2) * 2, notHereDelayMaxMs);
    if (this.#delays.size >= delaysMax) this.#delays.clear();
    this.#delays.set(ticketId, delayMs);
    return delayMs;
  }

  /** The ticket's job was started. */
  forget(ticketId: string): void {
    this.#delays.delete(ticketId);
  }

  /** The definitions of servers have changed, so jobs that no server could run may now be possible. */
  clear(): void {
    this.#delays.clear();
  }
}
