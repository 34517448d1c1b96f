import { Prisma } from "../../generated/client.ts";

/** The columns of a queued row that its ticket needs, from a table or alias named `job`. The rank is not yet counted from its base. */
export const announcementColumns = Prisma.sql`
  job.id AS "jobId", job.attempt + 1 AS attempt, job.ticket_number AS "ticketNumber", job.type, job.lane, job.priority,
  job.aged AS "agedBands", job.rank`;
