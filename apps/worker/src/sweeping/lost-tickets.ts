import {
  type ClearingPosition,
  type JobAnnouncer,
  StoreUnavailableError,
  type TicketQueue,
} from "@genga/jobs";
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
 * that the first tickets are back while most rows are still to be cleared. The sentinel is set when no row is left, and
 * until then the next pass, or the next process that sweeps, goes on. If Redis loses its data again before that, the
 * audit finds those of the new tickets that were lost.
 */
export class LostTickets {
  readonly #options: LostTicketsOptions;
  #position: ClearingPosition | null = null;

  constructor(options: LostTicketsOptions) {
    this.#options = options;
  }

  /**
   * If the database refuses a page, as it does when a row stays locked, the next pass goes on there: the jobs that were cleared
   * get their tickets meanwhile.
   * @returns whether jobs may need tickets because of this
   * @throws TicketsUnavailableError
   */
  async clear(): Promise<boolean> {
    const { tickets, log } = this.#options;
    if (!(await tickets.wasWiped())) {
      this.#position = null;
      return false;
    }
    try {
      await this.#clearPages();
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      log.warn({ err: error }, "tickets that Redis had lost could not all be noted; the next pass goes on");
    }
    return true;
  }

  async #clearPages(): Promise<void> {
    const { tickets, announcer, log } = this.#options;
    for (let page = 0; page < pagesPerPass; page += 1) {
      const { jobs, next } = await announcer.clearEnqueued(this.#position, clearedAtOnce);
      if (jobs > 0) log.warn({ jobs }, "Redis had lost all tickets; they are made again");
      this.#position = next;
      if (next !== null) continue;
      await tickets.rememberSentinel();
      return;
    }
  }

  /** Another process may have gone on meanwhile, or Redis may have lost its data again. */
  startOver(): void {
    this.#position = null;
  }
}
