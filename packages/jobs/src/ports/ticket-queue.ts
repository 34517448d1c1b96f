import { type Announcement, type TicketReference } from "./job-announcer.ts";
import { jobPriorities, type JobPriority } from "../job/job.ts";

/** Width of a priority band; BullMQ accepts priorities up to 2^21. */
const bandWidth = 2 ** 18;

/**
 * The ticket's priority in BullMQ (smaller is served first): the job's band, then its rank within the band, so that
 * tenants take turns and one tenant's jobs stay first come first served.
 */
export function ticketPriority(priority: JobPriority, rank: number): number {
  const band = jobPriorities.indexOf(priority);
  return band * bandWidth + Math.min(Math.max(rank, 0), bandWidth - 1) + 1;
}

/** The ticket's id in BullMQ. */
export function ticketId(ticket: TicketReference): string {
  return `${ticket.jobId}-${ticket.attempt}`;
}

/** A ticket that this process holds under BullMQ's lock, until `finish` or `giveBack`. */
export interface HeldTicket extends TicketReference {
  readonly lane: string;
}

/**
 * What Bull Board shows of a finished ticket. A ticket whose job was cancelled, waits again, or wanted no work has not
 * failed, and has not done its work either.
 */
export type TicketEnd =
  | { kind: "completed" }
  | { kind: "failed"; reason: string }
  | { kind: "cancelled" }
  | { kind: "requeued"; reason: string }
  | { kind: "dropped"; reason: string };

/**
 * BullMQ behind a port. A ticket is a hint that a row wants work: losing one, or getting one twice, is never an error.
 * Every method throws `TicketsUnavailableError` when Redis cannot be reached, soon (no offline queue).
 */
export interface TicketQueue {
  /** Adds in bulk; a finished ticket of the same id is replaced, a live one is left alone. */
  add(announcements: Announcement[]): Promise<void>;
  /** Up to `count` tickets, best first, without waiting. Locks are renewed until `finish` or `giveBack`. */
  take(lane: string, count: number): Promise<HeldTicket[]>;
  /** A missing or stolen ticket is no error. */
  finish(ticket: HeldTicket, end: TicketEnd): Promise<void>;
  /** Others may take it after the delay, which is a minute at most. */
  giveBack(ticket: HeldTicket, options: { delayMs: number }): Promise<void>;
  /** Shown in Bull Board, at most once a second for each ticket (the latest wins); never throws. */
  report(ticket: HeldTicket, progress: { percent: number; line?: string }): void;
  /** Removes tickets of rows that no longer want work, in a pipeline; locked ones are left to their holder. */
  remove(tickets: (TicketReference & { lane: string })[]): Promise<void>;
  /** Which of these have no live (waiting, delayed or active) ticket. */
  findMissing(announcements: Announcement[]): Promise<Announcement[]>;
  /** `true` once after Redis lost everything (its sentinel key was gone, and is set again by `rememberSentinel`). */
  wasWiped(): Promise<boolean>;
  rememberSentinel(): Promise<void>;
  /** Called when tickets were added to the lane by anybody, and after Redis came back. */
  onAvailable(lane: string, listener: () => void): () => void;
  close(): Promise<void>;
}
