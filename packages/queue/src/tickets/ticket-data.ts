import { z } from "zod";
import {
  ticketId,
  ticketPriority,
  type Announcement,
  type TicketEnd,
  type TicketReference,
} from "@genga/jobs";
import { type BulkJobOptions } from "bullmq";

/** Finished tickets of each kind that Bull Board can still show, in each lane. */
const finishedTicketsKept = 1000;
const logLinesKept = 200;

const ticketData = z.object({ jobId: z.string().min(1).max(128), attempt: z.int().min(1) });

/** One element for BullMQ's `addBulk`: a ticket carries ids only, never prompts or images. */
export function bullJobOf(announcement: Announcement): {
  name: string;
  data: TicketReference;
  opts: BulkJobOptions;
} {
  const { jobId, attempt, type, priority, rank } = announcement;
  return {
    name: type,
    data: { jobId, attempt },
    opts: {
      jobId: ticketId(announcement),
      priority: ticketPriority(priority, rank),
      // Retries are the database's business: a new attempt is a new ticket.
      attempts: 1,
      stackTraceLimit: 0,
      keepLogs: logLinesKept,
      removeOnComplete: { count: finishedTicketsKept },
      removeOnFail: { count: finishedTicketsKept },
    },
  };
}

/**
 * What is kept of the end of a ticket that has not failed. BullMQ knows no other end than "completed" for those; their
 * note tells, and Bull Board shows its first word beside the ticket's name.
 */
export function ticketNote(end: Exclude<TicketEnd, { kind: "failed" }>): string | null {
  if (end.kind === "completed") return null;
  return end.kind === "cancelled" ? end.kind : `${end.kind}: ${end.reason}`;
}

const shownTicket = z.object({ name: z.string(), returnvalue: z.string() });

/** The name that Bull Board shows for a ticket: of one that is done without its work being done, with its end. */
export function shownNameOf(ticket: unknown): string {
  const parsed = shownTicket.safeParse(ticket);
  if (!parsed.success) return z.object({ name: z.string() }).safeParse(ticket).data?.name ?? "";
  const end = /^(cancelled|requeued|dropped)/.exec(parsed.data.returnvalue)?.[0];
  return end === undefined ? parsed.data.name : `${parsed.data.name} (${end})`;
}

/** What a ticket says, or why it is no ticket of ours (anybody may add to a BullMQ queue). */
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
