import { type TicketReference } from "@genga/jobs";
import { toStoredJson } from "../../connection/stored-json.ts";
import { Prisma } from "../../generated/client.ts";

/** The tickets as a table named `ticket`. */
export function ticketRows(tickets: TicketReference[]): Prisma.Sql {
  const rows = tickets.map(({ jobId, attempt }) => ({ jobId, attempt }));
  return Prisma.sql`jsonb_to_recordset(${toStoredJson(rows)}::jsonb) AS ticket("jobId" uuid, attempt int)`;
}
