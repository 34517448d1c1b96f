import { type HeartbeatResult, type JobEvent, type JobLease, type ProgressReport } from "@genga/jobs";
import { isOneGiven } from "../../connection/given-rows.ts";
import { type PreparedStatements, type Statements } from "../../connection/plain-statements.ts";
import { leaseEnd } from "../../connection/lease-end.ts";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { eventColumns, eventFromRow, type EventRow } from "../job-rows.ts";
import { givenProgress, progressToRow, takenProgress } from "../progress-columns.ts";
import { isAsked } from "../taking-back/is-asked.ts";
import { toStoredJson } from "../../connection/stored-json.ts";

/**
 * The fence of every write to a running job: true only while the row is processing with exactly this attempt and lease
 * number. The job is a table or alias named `job`; the columns of a `JobLease` are in one named `lease`.
 */
const isHeld = Prisma.sql`
  job.id = lease."jobId" AND job.attempt = lease.attempt AND job.lease_number = lease."leaseNumber"
  AND job.status = 'processing'`;

/** The leases as a table named `lease`. */
function leaseRows(leases: JobLease[]): Prisma.Sql {
  const rows = leases.map(({ jobId, attempt, leaseNumber }) => ({ jobId, attempt, leaseNumber }));
  return Prisma.sql`
    jsonb_to_recordset(${toStoredJson(rows)}::jsonb) AS lease("jobId" uuid, attempt int, "leaseNumber" int)`;
}

/**
 * The rows of those leases that are still held, locked in the order of their ids, so that writers never deadlock.
 *
 * A statement that locks a row and then updates it first evaluates the row as it was when the statement began,
 * including check constraints, and only then as it is now. That is safe here, since both versions are the same attempt
 * under the same lease. Do not lock in this way where a row may have one of several statuses.
 * @param condition on the table `job`
 */
export function heldJobs(leases: JobLease[], condition = Prisma.sql`true`): Prisma.Sql {
  return Prisma.sql`
    SELECT job.* FROM jobs job JOIN ${leaseRows(leases)} ON ${isHeld}
    WHERE ${condition}
    ORDER BY job.id FOR NO KEY UPDATE OF job`;
}

export async function renewLeases(
  database: Statements,
  leases: JobLease[],
  leaseMs: number,
): Promise<HeartbeatResult> {
  if (leases.length === 0) return { held: [], cancelRequested: [], takeBackAsked: [] };
  const rows = await database.$queryRaw<RenewedRow[]>`
    WITH held AS (${heldJobs(leases)})
    UPDATE jobs SET lease_expires_at = ${leaseEnd(leaseMs)} FROM held WHERE jobs.id = held.id
    RETURNING jobs.id AS "jobId", jobs.attempt, jobs.lease_number AS "leaseNumber",
      jobs.cancel_requested_at IS NOT NULL AS "cancelRequested",
      coalesce(${isAsked(Prisma.sql`jobs`)}, false) AS "takeBackAsked"`;
  return {
    held: rows.map(({ jobId, attempt, leaseNumber }) => ({ jobId, attempt, leaseNumber })),
    cancelRequested: rows.filter((row) => row.cancelRequested).map((row) => row.jobId),
    takeBackAsked: rows.filter((row) => row.takeBackAsked).map((row) => row.jobId),
  };
}

type RenewedRow = JobLease & { cancelRequested: boolean; takeBackAsked: boolean };

export async function releaseLeases(database: PrismaClient, leases: JobLease[]): Promise<void> {
  if (leases.length === 0) return;
  await database.$executeRaw`
    WITH held AS (${heldJobs(leases)})
    UPDATE jobs SET lease_expires_at = now() - interval '1 millisecond' FROM held WHERE jobs.id = held.id`;
}

/**
 * Phases only advance, and a percentage never falls within an attempt; a report of an earlier phase is stale as a
 * whole. Where the phase changes, the same statement appends the event.
 */
export async function recordProgress(
  statements: PreparedStatements,
  reports: ProgressReport[],
): Promise<JobEvent[]> {
  const latest = new Map(reports.map((report) => [report.jobId, report]));
  if (latest.size === 0) return [];
  const rows = await statements.$queryPrepared<EventRow[]>(
    "record-progress",
    progressStatement([...latest.values()]),
  );
  return rows.map(eventFromRow);
}

/** Of each job one report. Exported for the test of its plan. */
export function progressStatement(reports: ProgressReport[]): Prisma.Sql {
  return Prisma.sql`
    WITH held AS (
      SELECT lease.*, job.advanced FROM (
        SELECT * FROM jsonb_to_recordset(${toStoredJson(reports.map(progressRow))}::jsonb) AS report(
          "jobId" uuid, attempt int, "leaseNumber" int, phase job_phase, ${givenProgress}, given int)
        WHERE ${isOneGiven} ORDER BY "jobId"
      ) lease CROSS JOIN LATERAL (
        SELECT lease.phase <> job.phase AS advanced FROM jobs job
        WHERE job.id = lease."jobId" AND job.attempt = lease.attempt AND job.lease_number = lease."leaseNumber"
          AND job.status::text = 'processing' AND lease.phase >= job.phase
        LIMIT 1 FOR NO KEY UPDATE
      ) job
    ), job AS (
      UPDATE jobs SET phase = held.phase, ${takenProgress}, event_sequence = event_sequence + held.advanced::int,
        started_at = CASE WHEN held.phase >= 'executing' THEN coalesce(started_at, now()) ELSE started_at END
      FROM held WHERE jobs.id = held."jobId"
      RETURNING jobs.*, held.advanced
    ), attempt AS (
      UPDATE job_attempts SET submitted_at = coalesce(submitted_at, now()),
        execution_started_at = CASE WHEN job.phase >= 'executing' THEN coalesce(execution_started_at, now()) END
      FROM job WHERE job.advanced AND job_id = job.id AND number = job.attempt
    ), event AS (
      INSERT INTO job_events (job_id, sequence, type, attempt)
      SELECT id, event_sequence, phase::text, attempt FROM job WHERE advanced
      RETURNING *
    )
    SELECT ${eventColumns} FROM event`;
}

function progressRow({ progress, ...report }: ProgressReport): Record<string, unknown> {
  const { jobId, attempt, leaseNumber, phase } = report;
  return { jobId, attempt, leaseNumber, phase, given: 1, ...progressToRow(progress) };
}
