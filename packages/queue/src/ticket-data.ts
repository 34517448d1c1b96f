import { z } from "zod";
import { ticketId, ticketPriority, type Announcement, type TicketReference } from "@genga/jobs";
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
