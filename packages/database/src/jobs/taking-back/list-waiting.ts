import { jobPriorities, takenBackCode, type JobPriority, type WaitingPrompt } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { runningRoomOf, type RunningLimit } from "../running/running-limit.ts";
import { isAsked } from "./is-asked.ts";
import { mayBeQueued } from "./may-be-queued.ts";

/** Larger files are not sent to a second server. They are on the first one already. */
const inputBytesMax = 64 * 1024 * 1024;
/**
 * Of one job. After a take-back the job goes to another server, and stays there; if it is back on the same one, because the
 * worker that asked for it died, its prompt may be taken back again.
 */
const takeBacksMax = 3;
/** A prompt that has nothing of Genga before it and has not begun after this time waits for prompts of other clients. */
const unexplainedSeconds = 2;

/** A job of the result, with its priority in place of its band. */
type WaitingRow = Omit<WaitingPrompt, "band"> & { band: JobPriority };

/**
 * Prompts that wait in the queues of servers and may be taken back, those that wait longest first. What stands before a
 * prompt: the job that executes, then the others in the order of their claims. Reads the running jobs of the whole farm
 * once, by their index.
 */
export async function listWaiting(
  database: PrismaClient,
  limit: number,
  running: RunningLimit,
): Promise<WaitingPrompt[]> {
  const rows = await database.$queryRaw<WaitingRow[]>(listWaitingStatement(limit, running));
  return rows.map((row) => ({ ...row, band: jobPriorities.indexOf(row.band) }));
}

/** Exported for the test of its plan. */
export function listWaitingStatement(limit: number, running: RunningLimit): Prisma.Sql {
  return Prisma.sql`
    WITH held AS (
      SELECT job.id, job.server_id, job.phase, attempt.claimed_at, lanes.run_ms,
        CASE WHEN job.phase = 'executing'
          THEN coalesce(extract(epoch FROM now() - attempt.execution_started_at) * 1000, 0) ELSE 0 END AS elapsed_ms
      FROM jobs job JOIN job_attempts attempt ON attempt.job_id = job.id AND attempt.number = job.attempt
      LEFT JOIN lanes ON lanes.name = job.lane
      WHERE job.status = 'processing' AND job.phase <> 'saving'
    ), placed AS (
      SELECT id, phase, count(*) OVER earlier AS ahead, sum(left_ms) OVER earlier AS ahead_ms,
        bool_and(left_ms IS NOT NULL) OVER earlier AS is_known
      FROM (SELECT held.*, ${leftMs} AS left_ms FROM held) held
      WINDOW earlier AS (
        PARTITION BY server_id ORDER BY phase DESC, claimed_at, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ), waiting AS (
      SELECT job.*, CASE WHEN placed.is_known THEN placed.ahead_ms END AS ahead_ms
      FROM placed JOIN jobs job ON job.id = placed.id
      JOIN job_attempts attempt ON attempt.job_id = job.id AND attempt.number = job.attempt
      WHERE job.status = 'processing' AND job.phase = 'submitted' AND job.lease_expires_at > now()
        AND (placed.ahead > 0 OR attempt.submitted_at <= now() - ${unexplainedSeconds}::int * interval '1 second')
        AND NOT job.take_back_begun AND NOT coalesce(${isAsked(Prisma.sql`job`)}, false) AND ${mayBeQueued}
        AND NOT EXISTS (
          SELECT FROM job_attempts before WHERE before.job_id = job.id AND before.number = job.attempt - 1
            AND before.failure ->> 'code' = ${takenBackCode} AND before.server_id <> job.server_id)
        AND (
          SELECT count(*) FROM job_attempts before
          WHERE before.job_id = job.id AND before.failure ->> 'code' = ${takenBackCode}) < ${takeBacksMax}
        AND coalesce((SELECT sum(bytes) FROM job_inputs input WHERE input.job_id = job.id), 0) <= ${inputBytesMax}
    ), room AS MATERIALIZED (
      SELECT id, ${runningRoomOf(Prisma.sql`tenant.id`, running)} AS places
      FROM (SELECT DISTINCT tenant_id AS id FROM waiting) tenant
    )
    SELECT job.id AS "jobId", job.attempt, job.lease_number AS "leaseNumber", job.server_id AS "serverId", job.lane,
      job.requires, job.priority::text AS band, lanes.run_ms::float8 AS "runMs", lanes.main_model AS "mainModel",
      coalesce(lanes.load_ms, (
        SELECT avg(alike.load_ms) FROM lanes alike
        WHERE alike.main_model = lanes.main_model AND alike.load_ms IS NOT NULL))::float8 AS "loadMs",
      job.ahead_ms::float8 AS "aheadMs",
      ARRAY(SELECT DISTINCT server_id::text FROM job_attempts tried WHERE tried.job_id = job.id) AS "triedServerIds"
    FROM waiting job JOIN room ON room.id = job.tenant_id LEFT JOIN lanes ON lanes.name = job.lane
    WHERE room.places IS NULL OR room.places > 0
    ORDER BY job.ahead_ms DESC NULLS FIRST, job.id LIMIT ${limit}::int`;
}

/**
 * How long a job will execute from now on; NULL = jobs of its lane were not measured. One that has taken longer than they
 * usually do probably goes on for as long as it has exceeded that.
 */
const leftMs = Prisma.sql`CASE
  WHEN elapsed_ms <= run_ms THEN run_ms - elapsed_ms
  ELSE elapsed_ms - run_ms END`;
