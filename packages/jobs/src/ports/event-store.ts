import { type JobEvent } from "../job/job.ts";

/** What a subscriber follows across jobs. */
export type EventScope = { batchId: string } | { tenantId: string };

/** An event and its position: its place in the order of commits, across all jobs. */
export interface PlacedEvent {
  position: bigint;
  tenantId: string;
  batchId: string | null;
  event: JobEvent;
}

/** A part of the feed: all of its events after one position and up to another. */
export interface FeedPage {
  /** Oldest first. */
  events: PlacedEvent[];
  /** No event that is not in this page can come to stand at or before this position. */
  upTo: bigint;
}

/** How many events got positions, and how many deliveries to webhooks were made of them. */
export interface Assigned {
  events: number;
  deliveries: number;
  /** It was at least half as many as were asked for, or as are tried after a failure: more may wait. */
  mayBeMore: boolean;
}

/**
 * Gives committed events their positions. A transaction that stays open holds back the positions of its own events only:
 * they get later ones. Every method throws `StoreUnavailableError` when the database cannot be reached.
 */
export interface EventSequencer {
  /**
   * Gives up to `limit` events their positions, and makes deliveries of them for the webhooks that want them, in one
   * transaction. Any process may call it at any time; while another one does the same, it changes nothing. After a failure
   * fewer are tried.
   */
  assignPositions(limit: number): Promise<Assigned>;
  /**
   * Removes up to `limit` of the oldest positions, beyond the latest `kept`; returns how many. A cursor before them is too
   * old from then on.
   */
  removeOldPositions(kept: number, limit: number): Promise<number>;
}

/**
 * Reads events in the order of their positions, and cannot write. Events that were written before there were positions have
 * none. Every method throws `StoreUnavailableError` when the database cannot be reached.
 */
export interface EventReader {
  /** The highest position that was given so far; 0 = none. */
  findLastPosition(): Promise<bigint>;
  /**
   * Up to `limit` events after a position, of one scope or of all jobs.
   * @throws CursorTooOldError events after it were removed from the feed
   * @throws CursorFromTheFutureError no event has had that position yet
   */
  listPlaced(scope: EventScope | "all", after: bigint, limit: number): Promise<FeedPage>;
  /**
   * Up to `limit` events of one job after a sequence, oldest first: those after a position, and those that have none yet.
   * A job of another scope has none.
   */
  listUnread(
    scope: EventScope,
    of: { jobId: string; afterSequence: number; afterPosition: bigint },
    limit: number,
  ): Promise<JobEvent[]>;
  /**
   * Whether the scope has events after a position: with a later one, or without any yet. Notes of events that are about to get
   * positions are few. True also where that cannot be told: the position is too old, or from the future.
   */
  hasNewsAfter(scope: EventScope, after: bigint): Promise<boolean>;
}
