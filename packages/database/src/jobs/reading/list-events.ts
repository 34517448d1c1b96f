import { type JobEvent } from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { type PrismaClient } from "../../generated/client.ts";
import { eventColumns, eventFromRow, type EventRow } from "../job-rows.ts";

export async function listEvents(
  database: PrismaClient,
  tenantId: string,
  jobId: string,
  after: { sequence: number; limit: number },
): Promise<JobEvent[]> {
  if (!isUuid(jobId)) return [];
  const rows = await database.$queryRaw<EventRow[]>`
    SELECT ${eventColumns} FROM job_events event
    WHERE event.job_id = ${jobId}::uuid AND event.sequence > ${after.sequence}
      AND EXISTS (SELECT FROM jobs job WHERE job.id = ${jobId}::uuid AND job.tenant_id = ${tenantId}::uuid)
    ORDER BY event.sequence LIMIT ${after.limit}`;
  return rows.map(eventFromRow);
}
