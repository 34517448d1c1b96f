import { type JobPriority, type JobType } from "../job/job.ts";

/** Identifies the ticket of a queued row; `attempt` is the number of the attempt that a claim would start. */
export interface TicketReference {
  jobId: string;
  attempt: number;
  /** The row's `ticketNumber` when the ticket was added. A ticket with an earlier number is stale. */
  ticketNumber: number;
}

export interface Announcement extends TicketReference {
  type: JobType;
  lane: string;
  priority: JobPriority;
  rank: number;
}

/**
 * Keeps track of which queued jobs have a ticket. PostgreSQL records that a ticket was added; the tickets themselves
 * are in Redis (`TicketQueue`). Times are the database's clock. Every method throws `StoreUnavailableError` when the
 * database cannot be reached.
 */
export interface JobAnnouncer {
  /** Sets `enqueuedAt` of rows that are still ready, and whose ticket is still this one. */
  markEnqueued(tickets: TicketReference[]): Promise<void>;
  /**
   * Queued rows that are due (`runAt`) and have no `enqueuedAt`, lowest rank first. Of a tenant whose running jobs are
   * limited, only as many rows as the tenant may start now.
   */
  listUnannounced(limit: number): Promise<Announcement[]>;
  /**
   * Queued rows with an `enqueuedAt`, by id, after `afterJobId`. The caller compares them with the tickets in Redis.
   */
  listAnnounced(afterJobId: string | null, limit: number): Promise<Announcement[]>;
  /**
   * Clears `enqueuedAt` of all queued rows of those tenants that have reached their limit of running jobs: their
   * tickets cannot be used now, and stand before those of other tenants. Returns these tickets, at most 10,000.
   */
  holdBack(tenantIds: string[]): Promise<(TicketReference & { lane: string })[]>;
  /** For use after Redis lost its data: clears `enqueuedAt` of all queued rows in one statement; returns how many. */
  clearEnqueued(): Promise<number>;
  /**
   * Lets the ranks of a priority band begin at 0 again, if they have grown large and no job of the band is queued. The
   * sweeper calls this.
   */
  rebaseRanks(): Promise<void>;
}
