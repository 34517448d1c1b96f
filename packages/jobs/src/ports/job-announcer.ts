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
  /** How many bands the job has moved up because it has waited long. */
  agedBands: number;
  /** Counted from the base of the lane and the band. */
  rank: number;
}

/** Tickets of one lane and one band whose priorities follow from a base that has moved. */
export interface RepricedPage {
  lane: string;
  /** The band. */
  priority: JobPriority;
  base: number;
  /** The pages before this one went up to this rank. */
  after: number;
  /** The last rank of the page; `null` = it is the last page. */
  upTo: number | null;
  announcements: Announcement[];
}

/** How far `clearEnqueued` has come. */
export interface ClearingPosition {
  /** By the database's clock: tickets that were added later are kept. */
  addedUpTo: Date;
  /** The last row of the page before; `null` = no page yet. */
  afterJobId: string | null;
}

export interface ClearedPage {
  jobs: number;
  /** `null` = no row is left. One that begins at the first job again = other transactions have locked all that is left. */
  next: ClearingPosition | null;
}

/**
 * Keeps track of which queued jobs have a ticket. PostgreSQL records that a ticket was added; the tickets themselves
 * are in Redis (`TicketQueue`). Times are the database's clock. Every method throws `StoreUnavailableError` when the
 * database cannot be reached.
 */
export interface JobAnnouncer {
  /**
   * Sets `enqueuedAt` of rows that are still ready, and whose ticket is still this one. Rows that other transactions have
   * locked are left: `listUnannounced` has them again. Returns how many were set.
   */
  markEnqueued(tickets: TicketReference[]): Promise<number>;
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
  /**
   * For use after Redis lost its data: clears `enqueuedAt` of up to `limit` queued rows. The first call, from `null`, decides
   * the time: rows that are announced after it keep their new tickets. It waits for no row that another transaction has locked.
   */
  clearEnqueued(from: ClearingPosition | null, limit: number): Promise<ClearedPage>;
  /** Counts ranks as `announcementOf` gives them from the bases of their lanes and bands. */
  countFromBases(announcements: Announcement[]): Promise<Announcement[]>;
  /**
   * Moves up a band what has waited there for `ageingMs`: of each tenant, lane and band only the oldest job, and only one
   * in that time; never into `urgent`. Returns the tickets that are stale now; `listUnannounced` has the new ones.
   */
  ageJobs(ageingMs: number, limit: number): Promise<(TicketReference & { lane: string })[]>;
  /** Lets the ranks of lanes and bands in which no job is queued begin anew. The sweeper calls this and the next ones. */
  forgetIdleRanks(): Promise<void>;
  /** Moves the bases of lanes and bands whose claimed ranks have come far; `nextRepricing` then has work. */
  moveBases(): Promise<void>;
  /** About `limit` tickets that need the priority that they have here; `null` = none. */
  nextRepricing(limit: number): Promise<RepricedPage | null>;
  /** The tickets of the page have their priorities. Without this the same page comes again, which does no harm. */
  noteRepriced(page: RepricedPage): Promise<void>;
}
