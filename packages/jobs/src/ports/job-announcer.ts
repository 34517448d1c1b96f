import { type JobPriority, type JobType } from "../job/job.ts";

/** Announces a queued row in BullMQ: `attempt` is the one that a claim would start. */
export interface TicketReference {
  jobId: string;
  attempt: number;
}

export interface Announcement extends TicketReference {
  type: JobType;
  lane: string;
  priority: JobPriority;
  rank: number;
}

/**
 * Which queued jobs have a ticket. PostgreSQL knows what was announced; the tickets themselves are in Redis (`TicketQueue`).
 * Times are the database's clock. Every method throws `StoreUnavailableError` when the database cannot be reached.
 */
export interface JobAnnouncer {
  /** Sets `enqueuedAt` where the row is still queued with that attempt to come. */
  markEnqueued(tickets: TicketReference[]): Promise<void>;
  /**
   * Queued rows that are due (`runAt`) and have no `enqueuedAt`, oldest rank first. Of a tenant whose running jobs are
   * limited only as many as it has places for.
   */
  listUnannounced(limit: number): Promise<Announcement[]>;
  /** Queued rows with an `enqueuedAt`, in id order after `afterJobId`: to be audited against Redis. */
  listAnnounced(afterJobId: string | null, limit: number): Promise<Announcement[]>;
  /**
   * Clears `enqueuedAt` of all queued rows of those of the tenants that have as many jobs running as they may: their
   * tickets are of no use for now, and stand before those of others. Returns these tickets, 10,000 at most.
   */
  holdBack(tenantIds: string[]): Promise<(TicketReference & { lane: string })[]>;
  /** Redis was wiped: clears `enqueuedAt` of all queued rows in one statement; returns how many. */
  clearEnqueued(): Promise<number>;
  /** Ranks of a priority band in which nothing is queued begin at 0 again, once they have grown large. For the sweeper. */
  rebaseRanks(): Promise<void>;
}
