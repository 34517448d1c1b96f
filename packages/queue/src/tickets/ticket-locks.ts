import { ticketId, type HeldTicket } from "@genga/jobs";
import { type BullLane, type TicketJob } from "./bull-lane.ts";
import { type QueueLogger, type RedisLink } from "../redis/redis-link.ts";

export interface TicketLocksOptions {
  link: RedisLink;
  token: string;
  lockMs: number;
  stallCheckMs: number;
  /** Stalled tickets of the lane wait again. */
  onReturned: (lane: string) => Promise<void>;
  logger: QueueLogger;
}

interface Held {
  ticket: HeldTicket;
  job: TicketJob;
}

/** The tickets that this process holds: renews their locks, and finds the tickets whose holder has died. */
export class TicketLocks {
  readonly #options: TicketLocksOptions;
  readonly #held = new Map<string, Held>();
  readonly #lanes = new Map<string, BullLane>();
  #renewTimer: NodeJS.Timeout | null = null;
  #stallTimer: NodeJS.Timeout | null = null;
  #isClosed = false;

  constructor(options: TicketLocksOptions) {
    this.#options = options;
    // Renew at once after an outage, because locks go on running out while Redis is away.
    options.link.onReady(() => void this.renew());
  }

  /** Starts to renew and check the locks of a lane; only processes that take tickets do this. */
  watch(lane: BullLane): void {
    if (this.#isClosed) return;
    this.#lanes.set(lane.lane, lane);
    this.#renewTimer ??= setInterval(() => void this.renew(), this.#options.lockMs / 3).unref();
    this.#stallTimer ??= setInterval(() => void this.returnStalled(), this.#options.stallCheckMs).unref();
  }

  hold(ticket: HeldTicket, job: TicketJob): void {
    this.#held.set(keyOf(ticket), { ticket, job });
  }

  find(ticket: HeldTicket): TicketJob | undefined {
    return this.#held.get(keyOf(ticket))?.job;
  }

  forget(ticket: HeldTicket): void {
    this.#held.delete(keyOf(ticket));
  }

  /** Renews every lock; forgets each ticket whose lock was lost. */
  async renew(): Promise<void> {
    await this.#perLane("renew the locks of tickets", async (lane) => {
      const held = [...this.#held.values()].filter(({ ticket }) => ticket.lane === lane.lane);
      if (held.length === 0) return;
      const ids = held.map(({ ticket }) => ticketId(ticket));
      const lost = new Set(await lane.extendLocks(ids, this.#options.token, this.#options.lockMs));
      if (lost.size === 0) return;
      for (const { ticket, job } of held) {
        // The ticket may have been taken again in the meantime; then it is held by a new lock, which stays.
        if (lost.has(ticketId(ticket)) && this.find(ticket) === job) this.forget(ticket);
      }
      this.#options.logger.warn({ lane: lane.lane, tickets: [...lost] }, "Lost the locks of tickets.");
    });
  }

  async returnStalled(): Promise<void> {
    await this.#perLane("check for stalled tickets", async (lane) => {
      const tickets = await lane.returnStalled();
      if (tickets.length === 0) return;
      this.#options.logger.info({ lane: lane.lane, tickets }, "Tickets of a dead holder wait again.");
      await this.#options.onReturned(lane.lane);
    });
  }

  close(): void {
    this.#isClosed = true;
    if (this.#renewTimer !== null) clearInterval(this.#renewTimer);
    if (this.#stallTimer !== null) clearInterval(this.#stallTimer);
    this.#held.clear();
    this.#lanes.clear();
  }

  async #perLane(intention: string, step: (lane: BullLane) => Promise<void>): Promise<void> {
    if (!this.#options.link.isReady()) return;
    const results = await Promise.allSettled([...this.#lanes.values()].map(step));
    for (const result of results) {
      // The link logs broken connections. The next tick tries again in either case.
      if (result.status === "rejected" && this.#options.link.isReady()) {
        this.#options.logger.warn({ err: result.reason as unknown }, `Could not ${intention}.`);
      }
    }
  }
}

function keyOf(ticket: HeldTicket): string {
  return `${ticket.lane}/${ticketId(ticket)}`;
}
