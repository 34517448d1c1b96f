import { type EventScope, type JobEvent } from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { Prisma, type PrismaClient } from "../generated/client.ts";
import { eventColumns, eventFromRow, type EventRow } from "../jobs/job-rows.ts";
import { inScope } from "./event-scopes.ts";

/** An event without a position is unread if there is a note of it; without a note, its position was removed long ago. */
export async function listUnread(
  database: PrismaClient,
  scope: EventScope,
  of: { jobId: string; afterSequence: number; afterPosition: bigint },
  limit: number,
): Promise<JobEvent[]> {
  const { jobId, afterSequence, afterPosition } = of;
  if (!isUuid(jobId)) return [];
  const rows = await database.$queryRaw<EventRow[]>`
    SELECT ${eventColumns} FROM job_events event
    LEFT JOIN event_positions place ON place.job_id = event.job_id AND place.sequence = event.sequence
    LEFT JOIN unsequenced_events note ON note.job_id = event.job_id AND note.sequence = event.sequence
    WHERE event.job_id = ${jobId}::uuid AND event.sequence > ${afterSequence}::int
      AND (place.position > ${afterPosition}::bigint OR note.id IS NOT NULL)
      AND EXISTS (SELECT FROM jobs job WHERE job.id = ${jobId}::uuid AND ${inScope(scope, Prisma.sql`job`)})
    ORDER BY event.sequence LIMIT ${limit}::int`;
  return rows.map(eventFromRow);
}
