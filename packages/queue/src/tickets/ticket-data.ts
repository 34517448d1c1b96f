import { z } from "zod";
import {
  ticketId,
  ticketPriority,
  type Announcement,
  type TicketEnd,
  type TicketReference,
} from "@genga/jobs";
import { type BulkJobOptions } from "bullmq";

/** About so many finished tickets of each kind are kept in all lanes together, so that Bull Board can show them. */
const finishedTicketsKept = 1_000;
/** With many lanes, so many in each. */
const finishedTicketsLeast = 5;
const logLinesKept = 200;

const ticketData = z.object({
  jobId: z.string().min(1).max(128),
  attempt: z.int().min(1),
  ticketNumber: z.int().min(0).default(0),
});

/** One element for BullMQ's `addBulk`: a ticket carries ids only, never prompts or images. */
export function bullJobOf(announcement: Announcement): {
  name: string;
  data: TicketReference;
  opts: BulkJobOptions;
} {
  const { jobId, attempt, ticketNumber, type, priority, agedBands, rank } = announcement;
  return {
    name: type,
    data: { jobId, attempt, ticketNumber },
    opts: {
      jobId: ticketId(announcement),
      priority: ticketPriority(priority, rank, agedBands),
      // The database decides about retries: a new attempt is a new ticket.
      attempts: 1,
      stackTraceLimit: 0,
      keepLogs: logLinesKept,
      // The process that finishes it sets a smaller number when there are many lanes.
      removeOnComplete: keptOfLane(1),
      removeOnFail: keptOfLane(1),
    },
  };
}

/** How many finished tickets of each kind a lane keeps beside so many others. */
export function keptOfLane(lanesCount: number): { count: number } {
  return { count: Math.max(Math.floor(finishedTicketsKept / Math.max(lanesCount, 1)), finishedTicketsLeast) };
}

/**
 * The note that is kept when a ticket ends without a failure. BullMQ calls each such end "completed"; the note tells
 * the real end, and Bull Board shows its first word beside the ticket's name.
 */
export function ticketNote(end: Exclude<TicketEnd, { kind: "failed" }>): string | null {
  if (end.kind === "completed") return null;
  return end.kind === "cancelled" ? end.kind : `${end.kind}: ${end.reason}`;
}

const shownTicket = z.object({ name: z.string(), returnvalue: z.string() });

/**
 * The name that Bull Board shows for a ticket. If the ticket ended without its work being done, the name includes that
 * end.
 */
export function shownNameOf(ticket: unknown): string {
  const parsed = shownTicket.safeParse(ticket);
  if (!parsed.success) return z.object({ name: z.string() }).safeParse(ticket).data?.name ?? "";
  const end = /^(cancelled|requeued|dropped)/.exec(parsed.data.returnvalue)?.[0];
  return end === undefined ? parsed.data.name : `${parsed.data.name} (${end})`;
}

/** Reads a ticket, or tells why it is not one of Genga's tickets (any program may add to a BullMQ queue). */
export function readTicket(job: {
  id?: string | undefined;
  data: unknown;
}): TicketReference | { garbage: string } {
  const parsed = ticketData.safeParse(job.data);
  if (!parsed.success) return { garbage: `Not a ticket: ${z.prettifyError(parsed.error)}` };
  if (job.id !== ticketId(parsed.data)) {
    return { garbage: `Not a ticket: its id should be ${ticketId(parsed.data)}.` };
  }
  return parsed.data;
}
