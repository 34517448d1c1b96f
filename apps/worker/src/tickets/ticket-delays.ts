/** A ticket whose job cannot be started here now comes back after this long. */
export const notHereDelayMs = 1_000;
/** If no server here can run its job, the delay doubles each time, up to this. */
const notHereDelayMaxMs = 30_000;
/** Tickets whose delays are remembered. */
const delaysMax = 10_000;

/**
 * How long tickets stay away whose job no server of this worker can run: longer each time, so that they do not stand before
 * those that fit.
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

  /** What servers can run has changed: what fitted nowhere may fit now. */
  clear(): void {
    this.#delays.clear();
  }
}
