import { jobPriorities, type JobPriority } from "../job/job.ts";

/**
 * A ticket's priority in BullMQ (at most 2^21, a smaller one is served first) is, from its highest bits: the band that
 * the job waits in, its rank in the lane and the band, and how many bands it has aged.
 */
const bandWidth = 2 ** 18;
const agedWidth = 4;

/** The ranks that a ticket's priority can tell apart, counted from the base of the lane and the band. */
export const rankWindow = bandWidth / agedWidth;

export interface TicketPosition {
  /** The band that the ticket waits in: 0 is the most urgent. */
  band: number;
  /** The band of the job's own priority: larger than `band` if the job has aged. */
  ownBand: number;
  /** Counted from the base; `rankWindow - 1` stands for that rank and all later ones. */
  rank: number;
}

/**
 * The ticket's priority. Ranks let tenants take turns, and keep each tenant's jobs in the order of their submission.
 * @param rank the job's rank less the base of its lane and band
 * @param agedBands how many bands the job has moved up by its age
 */
export function ticketPriority(priority: JobPriority, rank: number, agedBands = 0): number {
  const band = Math.max(jobPriorities.indexOf(priority) - agedBands, 0);
  return band * bandWidth + Math.min(Math.max(rank, 0), rankWindow - 1) * agedWidth + agedBands + 1;
}

/** The inverse of `ticketPriority`. */
export function readTicketPriority(priority: number): TicketPosition {
  const value = priority - 1;
  const band = Math.floor(value / bandWidth);
  return {
    band,
    ownBand: band + (value % agedWidth),
    rank: Math.floor((value % bandWidth) / agedWidth),
  };
}

/** The priorities of all tickets that wait in a band: from `first` to `last`. */
export function bandPriorities(band: number): { first: number; last: number } {
  return { first: band * bandWidth + 1, last: (band + 1) * bandWidth };
}

/**
 * The base from which ranks of a lane and a band are counted. It follows the clock in steps of half a window. When it
 * moves, only tickets in the upper half of the window need a new priority, and those that come within the window; so a
 * ticket gets a new one at most twice while it waits. The clock never leaves the lower half for long, so a tenant's
 * first job always has a rank that its ticket can show.
 */
export function baseFor(clock: number, base: number): number {
  const half = rankWindow / 2;
  return clock - base < half ? base : clock - (clock % half);
}
