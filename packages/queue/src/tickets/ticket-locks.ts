import { ticketId, type HeldTicket } from "@genga/jobs";
import { type BullLane, type TicketJob } from "../lanes/bull-lane.ts";
import { type QueueLogger, type RedisLink } from "../redis/redis-link.ts";

export interface TicketLocksOptions {
  link: RedisLink;
  token: string;
  lockMs: number;
  laneNamed: (lane: string) => BullLane;
  logger: QueueLogger;
}

interface Held {
  ticket: HeldTicket;
  job: TicketJob;
}

/** The tickets that this process holds: renews their locks. */
export class TicketLocks {
  readonly #options: TicketLocksOptions;
  readonly #held = new Map<string, Held>();
  #renewTimer: NodeJS.Timeout | null = null;
  #isClosed = false;

  constructor(options: TicketLocksOptions) {
    this.#options = options;
    // Renew at once after an outage, because locks go on running out while Redis is away.
    options.link.onReady(() => void this.renew());
  }

  hold(ticket: HeldTicket, job: TicketJob): void {
    if (this.#isClosed) return;
    this.#renewTimer ??= setInterval(() => void this.renew(), this.#options.lockMs / 3).unref();
    this.#held.set(keyOf(ticket), { ticket, job });
  }

  find(ticket: HeldTicket): TicketJob | undefined {
    return this.#held.get(keyOf(ticket))?.job;
  }

  forget(ticket: HeldTicket): void {
    this.#held.delete(keyOf(ticket));
  }

  /** Whether this process holds tickets of the lane. */
  holdsOf(lane: string): boolean {
    return [...this.#held.values()].some(({ ticket }) => ticket.lane === lane);
  }

  /** Renews every lock, with one command for each lane; forgets each ticket whose lock was lost. */
  async renew(): Promise<void> {
    if (!this.#options.link.isReady()) return;
    const byLane = new Map<string, Held[]>();
    for (const held of this.#held.values()) {
      byLane.set(held.ticket.lane, [...(byLane.get(held.ticket.lane) ?? []), held]);
    }
    const results = await Promise.allSettled([...byLane].map(([lane, held]) => this.#renewLane(lane, held)));
    for (const result of results) {
      // The link logs broken connections. The next renewal tries again in either case.
      if (result.status === "rejected" && this.#options.link.isReady()) {
        this.#options.logger.warn({ err: result.reason as unknown }, "Could not renew the locks of tickets.");
      }
    }
  }

  close(): void {
    this.#isClosed = true;
    if (this.#renewTimer !== null) clearInterval(this.#renewTimer);
    this.#held.clear();
  }

  async #renewLane(lane: string, held: Held[]): Promise<void> {
    const { laneNamed, token, lockMs, logger } = this.#options;
    const ids = held.map(({ ticket }) => ticketId(ticket));
    const lost = new Set(await laneNamed(lane).extendLocks(ids, token, lockMs));
    if (lost.size === 0) return;
    for (const { ticket, job } of held) {
      // The ticket may have been taken again in the meantime; then it is held by a new lock, which stays.
      if (lost.has(ticketId(ticket)) && this.find(ticket) === job) this.forget(ticket);
    }
    logger.warn({ lane, tickets: [...lost] }, "Lost the locks of tickets.");
  }
}

function keyOf(ticket: HeldTicket): string {
  return `${ticket.lane}/${ticketId(ticket)}`;
}
