import {
  type Candidate,
  type HeldTicket,
  type JobAnnouncer,
  type JobRuns,
  ticketId,
  type TicketQueue,
} from "@genga/jobs";
import { type OwnedServer } from "../servers/owned-server.ts";
import { type RunnableCache } from "./runnable-cache.ts";
import { notHereDelayMs, TicketDelays } from "./ticket-delays.ts";

/** The delay of a ticket whose job another worker runs. */
const elsewhereDelayMs = 5_000;

/** The tickets of a round that are not yet started, kept, finished or given back, by their ids. */
export type OpenTickets = Map<string, HeldTicket>;

export interface UnstartedTicketsOptions {
  runs: Pick<JobRuns, "findJob">;
  announcer: Pick<JobAnnouncer, "holdBack">;
  tickets: TicketQueue;
  canRun: RunnableCache;
  /** Servers that may take jobs now. */
  readyServers: () => OwnedServer[];
  /** `true` when this worker runs the job already and keeps the ticket. */
  keepTicket: (ticket: HeldTicket) => boolean;
}

/** What becomes of tickets that were taken and whose jobs were not started. */
export class UnstartedTickets {
  readonly #options: UnstartedTicketsOptions;
  readonly #delays = new TicketDelays();

  constructor(options: UnstartedTicketsOptions) {
    this.#options = options;
  }

  /** The ticket's job was started. */
  forget(id: string): void {
    this.#delays.forget(id);
  }

  /** The definitions of servers have changed. */
  forgetAll(): void {
    this.#delays.clear();
  }

  /**
   * Removes all tickets of tenants that have reached their limit of running jobs, so that these tickets do not stand
   * before those of other tenants. When a job of such a tenant ends, its next job gets a ticket again.
   */
  async holdBack(open: OpenTickets, places: ReadonlyMap<string, number>): Promise<void> {
    const full = [...places].flatMap(([tenantId, left]) => (left === 0 ? tenantId : []));
    if (full.length === 0 || open.size === 0) return;
    const { announcer, tickets } = this.#options;
    const heldBack = await announcer.holdBack(full);
    await tickets.remove(heldBack.filter((reference) => !open.has(ticketId(reference))));
    for (const reference of heldBack) {
      const ticket = open.get(ticketId(reference));
      if (ticket === undefined) continue;
      await tickets.finish(ticket, {
        kind: "dropped",
        reason: "the tenant has reached its limit of running jobs",
      });
      open.delete(ticketId(reference));
    }
  }

  /**
   * Returns tickets whose jobs were not started: the job runs here already, has no slot now, runs elsewhere, or needs
   * no run any more.
   */
  async giveBack(open: OpenTickets, candidates: Candidate[]): Promise<void> {
    const claimable = new Map(candidates.map((candidate) => [ticketId(candidate), candidate]));
    const results = await Promise.allSettled(
      [...open].map(async ([id, ticket]) => {
        const candidate = claimable.get(id);
        if (candidate !== undefined) {
          await this.#options.tickets.giveBack(ticket, { delayMs: this.#delayOf(id, candidate) });
        } else if (!this.#options.keepTicket(ticket)) {
          await this.#returnUnclaimable(ticket);
        }
        open.delete(id);
      }),
    );
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }

  /**
   * A ticket that only waits for a slot comes back soon; one whose job no server here can run comes back later each
   * time.
   */
  #delayOf(id: string, candidate: Candidate): number {
    const canRunHere = this.#options
      .readyServers()
      .some(
        ({ definitions, labels }) =>
          definitions !== null && this.#options.canRun.test(candidate, definitions, labels),
      );
    return canRunHere ? notHereDelayMs : this.#delays.lengthen(id);
  }

  /**
   * A stale ticket is dropped, and so is the ticket of a job that must wait and has none on record: when the job is ready,
   * it is announced again.
   */
  async #returnUnclaimable(ticket: HeldTicket): Promise<void> {
    const { runs, tickets } = this.#options;
    const job = await runs.findJob(ticket.jobId);
    if (job !== null && job !== "removed" && job.ticketNumber === ticket.ticketNumber) {
      const runsElsewhere = job.status === "processing" && job.attempt === ticket.attempt;
      const isOnRecord =
        job.status === "queued" && job.attempt + 1 === ticket.attempt && job.enqueuedAt !== null;
      if (runsElsewhere || isOnRecord) {
        await tickets.giveBack(ticket, { delayMs: runsElsewhere ? elsewhereDelayMs : notHereDelayMs });
        return;
      }
    }
    await tickets.finish(ticket, { kind: "dropped", reason: "its job wanted no work any more" });
  }
}
