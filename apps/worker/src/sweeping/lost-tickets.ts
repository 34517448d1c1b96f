import { type ClearingPosition, type JobAnnouncer, type TicketQueue } from "@genga/jobs";
import { type Logger } from "@genga/runtime";

export interface LostTicketsOptions {
  announcer: Pick<JobAnnouncer, "clearEnqueued">;
  tickets: Pick<TicketQueue, "wasWiped" | "rememberSentinel">;
  log: Pick<Logger, "warn">;
}

/** Small enough for one statement, however slow the database is. */
const clearedAtOnce = 5_000;
/** Together as many rows as one pass of the sweeper adds tickets for. */
const pagesPerPass = 4;

/**
 * After Redis lost its data: notes in PostgreSQL that the queued jobs have no tickets, a part in each pass of the sweeper, so
 * that the first tickets are back while most rows are still to be cleared, or are locked. The sentinel is set when no row is
 * left, and until then the next pass, or the next process that sweeps, goes on. If Redis loses its data again before that,
 * the audit finds those of the new tickets that were lost.
 */
export class LostTickets {
  readonly #options: LostTicketsOptions;
  #position: ClearingPosition | null = null;

  constructor(options: LostTicketsOptions) {
    this.#options = options;
  }

  /**
   * If the database refuses a page, the next call goes on there.
   * @returns whether Redis had lost its data
   * @throws TicketsUnavailableError, StoreUnavailableError
   */
  async clear(): Promise<boolean> {
    const { tickets, announcer, log } = this.#options;
    if (!(await tickets.wasWiped())) {
      this.#position = null;
      return false;
    }
    for (let page = 0; page < pagesPerPass; page += 1) {
      const { jobs, next } = await announcer.clearEnqueued(this.#position, clearedAtOnce);
      if (jobs > 0) log.warn({ jobs }, "Redis had lost all tickets; they are made again");
      this.#position = next;
      if (next === null) await tickets.rememberSentinel();
      // Locked rows come in the next pass.
      if ((next?.afterJobId ?? null) === null) break;
    }
    return true;
  }

  /** Another process may have gone on meanwhile, or Redis may have lost its data again. */
  startOver(): void {
    this.#position = null;
  }
}
