import { type Job, type JobEvent } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { clearedFailure, endedWaiting } from "../cleared-columns.ts";
import { jobColumns, jobWithEventFromRow, type JobWithEventRow } from "../job-rows.ts";
import { changedBy } from "./changed-by.ts";

/** One job, or all jobs of a batch. */
export type Cancelled = { jobId: string } | { batchId: string };

/** Cancels those of the jobs that are queued. */
export function cancelQueued(
  database: PrismaClient,
  of: Cancelled,
  by: string | undefined,
): Promise<{ job: Job; event: JobEvent }[]> {
  return changeHeld(database, {
    held: Prisma.sql`${isMeant(of)} AND status = 'queued'`,
    assignments: Prisma.sql`status = 'cancelled', cancel_requested_at = now(), ${endedWaiting}, ${clearedFailure}`,
    ...{ event: "cancelled", by },
  });
}

/** Records the cancel request on those of the jobs that are processing, once. */
export function noteRequests(
  database: PrismaClient,
  of: Cancelled,
  by: string | undefined,
): Promise<{ job: Job; event: JobEvent }[]> {
  return changeHeld(database, {
    held: Prisma.sql`${isMeant(of)} AND status = 'processing' AND cancel_requested_at IS NULL`,
    assignments: Prisma.sql`cancel_requested_at = now()`,
    ...{ event: "cancel_requested", by },
  });
}

function isMeant(of: Cancelled): Prisma.Sql {
  return "jobId" in of ? Prisma.sql`id = ${of.jobId}::uuid` : Prisma.sql`batch_id = ${of.batchId}::uuid`;
}

/**
 * Changes the jobs that `held` selects, which all have the same status, and appends an event to each. The statement
 * does not join the rows with their events: PostgreSQL cannot estimate their number, and would compare every row with
 * every event.
 */
async function changeHeld(
  database: PrismaClient,
  change: { held: Prisma.Sql; assignments: Prisma.Sql; event: string; by: string | undefined },
): Promise<{ job: Job; event: JobEvent }[]> {
  const { held, assignments, event, by } = change;
  const rows = await database.$queryRaw<JobWithEventRow[]>`
    WITH held AS (
      SELECT id FROM jobs WHERE ${held} ORDER BY id FOR NO KEY UPDATE
    ), job AS (
      UPDATE jobs SET ${assignments}, event_sequence = event_sequence + 1
      FROM held WHERE jobs.id = held.id
      RETURNING jobs.*, clock_timestamp()::timestamptz(3) AS event_at
    ), event AS (
      INSERT INTO job_events (job_id, sequence, type, attempt, data, created_at)
      SELECT id, event_sequence, ${event}::text, attempt, ${changedBy(by)}, event_at FROM job
    )
    SELECT ${jobColumns}, ${event}::text AS "eventType", ${changedBy(by)} AS "eventData", job.event_at AS "eventAt"
    FROM job ORDER BY job.id`;
  return rows.map(jobWithEventFromRow);
}
