import { type Job, type JobEvent, type JobFailure } from "@genga/jobs";
import { type PrismaClient } from "../../generated/client.ts";
import { endedWaiting } from "../cleared-columns.ts";
import { takenFailure } from "../failure-columns.ts";
import { jobWithEventColumns, jobWithEventFromRow, type JobWithEventRow } from "../job-rows.ts";
import { toStoredJson } from "../../connection/stored-json.ts";

const expired: JobFailure = {
  class: "deadline",
  code: "expired",
  message: "The job had not begun to execute when its queue deadline (expiresAt) passed.",
};

/** Ends queued jobs whose queue deadline has passed, by the database's clock, as timed out. */
export async function expireQueued(
  database: PrismaClient,
  limit: number,
): Promise<{ job: Job; event: JobEvent }[]> {
  const rows = await database.$queryRaw<JobWithEventRow[]>`
    WITH due AS (
      SELECT id, ${toStoredJson(expired)}::jsonb AS shown FROM jobs WHERE status = 'queued' AND expires_at <= now()
      ORDER BY id LIMIT ${limit}::int FOR NO KEY UPDATE SKIP LOCKED
    ), job AS (
      UPDATE jobs SET status = 'timeout', ${endedWaiting},
        ${takenFailure}, event_sequence = event_sequence + 1
      FROM due WHERE jobs.id = due.id
      RETURNING jobs.*, shown
    ), event AS (
      INSERT INTO job_events (job_id, sequence, type, attempt, data)
      SELECT id, event_sequence, 'timeout', attempt, shown FROM job
      RETURNING *
    )
    SELECT ${jobWithEventColumns} FROM job JOIN event ON event.job_id = job.id ORDER BY job.id`;
  return rows.map(jobWithEventFromRow);
}
