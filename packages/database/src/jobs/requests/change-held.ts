import { type Job, type JobEvent } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { jobColumns, jobWithEventFromRow, type JobWithEventRow } from "../job-rows.ts";
import { changedBy } from "./changed-by.ts";

/** One job, some jobs, or all jobs of a batch. */
export type Meant = { jobId: string } | { jobIds: string[] } | { batchId: string };

export function isMeant(of: Meant): Prisma.Sql {
  if ("jobIds" in of) return Prisma.sql`id = ANY(${of.jobIds}::uuid[])`;
  return "jobId" in of ? Prisma.sql`id = ${of.jobId}::uuid` : Prisma.sql`batch_id = ${of.batchId}::uuid`;
}

export interface HeldChange {
  /** Selects the jobs, which all have the same status, from `jobs job`. */
  held: Prisma.Sql;
  /** What becomes of the locked jobs' batch meanwhile may still prevent the change; see `batchesOf`. */
  isStillWanted?: Prisma.Sql;
  assignments: Prisma.Sql;
  event: string;
  by: string | undefined;
}

/**
 * Changes jobs, and appends an event to each. The statement does not join the rows with their events: PostgreSQL cannot
 * estimate their number, and would compare every row with every event.
 */
export async function changeHeld(
  database: PrismaClient,
  change: HeldChange,
): Promise<{ job: Job; event: JobEvent; hasDependents: boolean }[]> {
  const { held, isStillWanted = Prisma.sql`true`, assignments, event, by } = change;
  const rows = await database.$queryRaw<(JobWithEventRow & { hasDependents: boolean })[]>`
    WITH held AS (
      SELECT id, batch_id FROM jobs job WHERE ${held} ORDER BY id FOR NO KEY UPDATE
    ), ${batchesOf(Prisma.sql`SELECT batch_id FROM held`)}
    , job AS (
      UPDATE jobs SET ${assignments}, event_sequence = event_sequence + 1
      FROM held WHERE jobs.id = held.id AND ${isStillWanted}
      RETURNING jobs.*, clock_timestamp()::timestamptz(3) AS event_at
    ), event AS (
      INSERT INTO job_events (job_id, sequence, type, attempt, data, created_at)
      SELECT id, event_sequence, ${event}::text, attempt, ${changedBy(by)}, event_at FROM job
    )
    SELECT ${jobColumns}, ${event}::text AS "eventType", ${changedBy(by)} AS "eventData", job.event_at AS "eventAt",
      job.has_dependents AS "hasDependents"
    FROM job ORDER BY job.id`;
  return rows.map((row) => ({ ...jobWithEventFromRow(row), hasDependents: row.hasDependents }));
}

/** What the event of a job that was queued again says besides if its batch is paused; `job` is the changed row. */
export const pausedWithBatch = Prisma.sql`
  CASE WHEN job.paused_at IS NULL THEN '{}'::jsonb ELSE '{"paused": true}' END`;

/**
 * A part of a WITH list named `batch`: the batches of jobs that are locked already, as they are now. Whoever pauses or
 * resumes a batch waits until the statement is committed, and then finds its jobs; the statement waits for them, and then
 * finds the batch as they left it. So no job misses the pause of its batch. PostgreSQL locks nothing if no other part of
 * the statement reads `batch`.
 *
 * Batches are always locked after their jobs, as by removals.
 */
export function batchesOf(batchIds: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`batch AS (
      SELECT id, paused_at FROM batches WHERE id IN (${batchIds}) ORDER BY id FOR SHARE
    )`;
}
