import { type TicketReference } from "@genga/jobs";
import { toStoredJson } from "../../connection/stored-json.ts";
import { Prisma } from "../../generated/client.ts";

/** The tickets as a table named `ticket`; see `isCurrent`. */
export function ticketRows(tickets: TicketReference[]): Prisma.Sql {
  const rows = tickets.map(({ jobId, attempt, ticketNumber }) => ({ jobId, attempt, ticketNumber }));
  return Prisma.sql`jsonb_to_recordset(${toStoredJson(rows)}::jsonb) AS ticket("jobId" uuid, attempt int, "ticketNumber" int)`;
}

/**
 * The fence of a ticket: true only while the ticket (a table or alias named `ticket`) is the latest of the next attempt of
 * its job, in one named `job`. An earlier ticket of a job is stale, and is dropped.
 */
export const isCurrent = Prisma.sql`
  job.attempt = ticket.attempt - 1 AND job.ticket_number = ticket."ticketNumber"`;
