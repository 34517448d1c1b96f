import { type Announcement, type TicketReference } from "./job-announcer.ts";

/** The id of the ticket's BullMQ job: `<jobId>-<attempt>`, and from the second ticket on also `-<ticketNumber>`. */
export function ticketId({ jobId, attempt, ticketNumber }: TicketReference): string {
  return ticketNumber === 0 ? `${jobId}-${attempt}` : `${jobId}-${attempt}-${ticketNumber}`;
}

/** A ticket that this process has locked in BullMQ, until `finish` or `giveBack`. */
export interface HeldTicket extends TicketReference {
  readonly lane: string;
}

/** A lane that has tickets to take. */
export interface LaneHead {
  lane: string;
  /** How many tickets can be taken now. */
  waiting: number;
  /** How many of them are in the band of the first one. */
  waitingInBand: number;
  /** Since when it has had tickets without a break, by this process's clock, to some seconds. */
  waitingSince: Date;
  /** The ticket priority (`ticketPriority`) of the ticket that would be taken first. */
  headPriority: number;
}

/**
 * How Bull Board shows a finished ticket. A ticket whose job was cancelled, was requeued, or wanted no work has neither
 * failed nor completed.
 */
export type TicketEnd =
  | { kind: "completed" }
  | { kind: "failed"; reason: string }
  | { kind: "cancelled" }
  | { kind: "requeued"; reason: string }
  | { kind: "dropped"; reason: string };

/**
 * BullMQ as a port. A ticket is a hint that a row wants work: losing a ticket, or getting it twice, is never an error.
 * When Redis cannot be reached, every method throws `TicketsUnavailableError` soon, since there is no offline queue.
 */
export interface TicketQueue {
  /**
   * Adds many tickets at once. A finished ticket of the same id is replaced, a live one is kept.
   * @param options.areNew no ticket of these ids was ever added, so the queue does not look for one
   */
  add(announcements: Announcement[], options?: { areNew?: boolean }): Promise<void>;
  /**
   * The lanes that have tickets to take, in no order. What other processes take shows after a second at most; added
   * tickets show at once.
   */
  lanes(): Promise<LaneHead[]>;
  /** How many tickets of each band wait, the most urgent first, for each of the lanes in their order. */
  countBands(lanes: readonly string[]): Promise<number[][]>;
  /** Takes up to `count` tickets, best first, without waiting. Their locks are renewed until `finish` or `giveBack`. */
  take(lane: string, count: number): Promise<HeldTicket[]>;
  /** The ticket's priority (`ticketPriority`); `null` = this process does not hold the ticket. */
  priorityOf(ticket: HeldTicket): number | null;
  /** A missing ticket, or one that another worker has taken, is no error. */
  finish(ticket: HeldTicket, end: TicketEnd): Promise<void>;
  /** Another worker may take the ticket after the delay, which is at most a minute. */
  giveBack(ticket: HeldTicket, options: { delayMs: number }): Promise<void>;
  /** Shows progress in Bull Board, at most once a second for each ticket, always the latest; never throws. */
  report(ticket: HeldTicket, progress: { percent: number; line?: string }): void;
  /**
   * Gives waiting tickets the priorities of these announcements; those of equal priority get the order in which they
   * stand here. A ticket that a process holds gets it when it is given back; a missing one is no error.
   */
  reprice(announcements: Announcement[]): Promise<void>;
  /** Removes tickets of rows that no longer want work, in a pipeline. Locked tickets stay with their holders. */
  remove(tickets: (TicketReference & { lane: string })[]): Promise<void>;
  /** Those of these tickets that are not live (waiting, delayed or active). */
  findMissing(announcements: Announcement[]): Promise<Announcement[]>;
  /**
   * Returns `true` once after Redis lost its data: its sentinel key is missing then, until `rememberSentinel` sets it
   * again.
   */
  wasWiped(): Promise<boolean>;
  rememberSentinel(): Promise<void>;
  /**
   * `listener` is called when any process added tickets, whatever their lane, and when Redis is back. Lanes need no
   * other care: new ones are found, and empty ones vanish after an hour.
   */
  onAvailable(listener: () => void): () => void;
  close(): Promise<void>;
}
