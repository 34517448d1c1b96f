import { StoreUnavailableError, type Job, type JobPriority, type TerminalStatus } from "@genga/jobs";
import { batchesOf, pausedWithBatch } from "./change-held.ts";
import { changedBy } from "./changed-by.ts";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { clearedFailure, clearedProgress, clearedServer } from "../cleared-columns.ts";
import { jobColumns, jobFromRow, type JobRow } from "../job-rows.ts";
import { recount, takeRoom, type QueueLimit } from "../accepting/queue-room.ts";
import { reserveRanks } from "../ranks/reserve-ranks.ts";
import { useKnownLanes } from "../../lanes/remove-lanes.ts";
import { toStoredJson } from "../../connection/stored-json.ts";

export interface EndedJob {
  id: string;
  tenantId: string;
  priority: JobPriority;
  lane: string;
  /** Without it, jobs that were submitted with secret extra data are not queued again. */
  sealedExtraData?: Uint8Array;
}

export interface Restart {
  limit: QueueLimit;
  /** The name of the key that requested the retry. */
  by: string | undefined;
}

/**
 * Queues ended jobs of one tenant again, at the end of its queue. None of them has dependents or waits for others
 * (`restart-with-dependents.ts`). Counters, failure and queue deadline are cleared, the
 * history stays. Changes and returns only jobs that still have one of the `statuses`.
 * @throws LimitReachedError when the tenant's queue has no room for all of them
 */
export async function restartJobs(
  database: PrismaClient,
  ended: EndedJob[],
  statuses: readonly TerminalStatus[],
  { limit, by }: Restart,
): Promise<Job[]> {
  const [first] = ended;
  if (first === undefined) return [];
  const { tenantId } = first;
  const jobs = await useKnownLanes(database, ended);
  const takeRank = await reserveRanks(database, tenantId, jobs, limit);
  if (takeRank !== null) {
    const ranked = jobs.map((job) => rankedRow(job, takeRank(job)));
    const room = takeRoom(tenantId, jobs.length, limit);
    const restarted = await restartRows(database, ranked, statuses, { room, by });
    if (restarted.length > 0) return restarted;
  }
  // Either the queue had no room, or no job has such a status any more.
  await recount(database, tenantId, jobs.length, limit);
  const takeLaterRank = await reserveRanks(database, tenantId, jobs, limit);
  if (takeLaterRank === null) throw new StoreUnavailableError(undefined, { fault: "busy", wasRefused: true });
  const ranked = jobs.map((job) => rankedRow(job, takeLaterRank(job)));
  return await restartRows(database, ranked, statuses, { room: takeRoom(tenantId, jobs.length, limit), by });
}

interface RankedRow {
  id: string;
  lane: string;
  rank: number;
  /** Base64. */
  sealed: string | null;
  /** It comes along with this job, because of which it failed; `null` = it was asked for. */
  dependency: string | null;
}

export function rankedRow(
  { id, lane, sealedExtraData: sealed }: Pick<EndedJob, "id" | "lane" | "sealedExtraData">,
  rank: number,
  dependency: string | null = null,
): RankedRow {
  return {
    ...{ id, lane, rank, dependency },
    sealed: sealed === undefined ? null : Buffer.from(sealed).toString("base64"),
  };
}

/** A job that comes along with another one keeps the times that its submission set, unless its deadline has passed. */
export async function restartRows(
  database: Prisma.TransactionClient,
  ranked: RankedRow[],
  statuses: readonly TerminalStatus[],
  { room, by }: { room: Prisma.Sql; by: string | undefined },
): Promise<Job[]> {
  const rows = await database.$queryRaw<JobRow[]>`
    WITH room AS (${room}
    ), again AS (
      SELECT job.id, job.batch_id, asked.lane, asked.rank, asked.sealed, asked.dependency, job.status AS before
      FROM jobs job
      JOIN jsonb_to_recordset(${toStoredJson(ranked)}::jsonb)
        AS asked(id uuid, lane text, rank int, sealed text, dependency uuid) ON asked.id = job.id
      WHERE (asked.sealed IS NOT NULL OR NOT job.has_extra_data) AND job.status::text = ANY (${[...statuses]}::text[]) AND EXISTS (SELECT FROM room)
      ORDER BY job.id FOR NO KEY UPDATE OF job
    ), ${batchesOf(Prisma.sql`SELECT batch_id FROM again`)}
    , job AS (
      UPDATE jobs SET status = 'queued', phase = 'waiting', lane = again.lane, rank = again.rank, aged = 0, aged_at = NULL,
        attempts_charged = 0, out_of_memory_count = 0, crash_count = 0, avoid_server_id = NULL,
        ${clearedServer}, ${clearedProgress}, ${clearedFailure}, cancel_requested_at = NULL,
        run_at = CASE WHEN again.dependency IS NOT NULL THEN run_at END, enqueued_at = NULL,
        ticket_number = ticket_number + 1,
        expires_at = CASE WHEN again.dependency IS NOT NULL AND expires_at > now() THEN expires_at END,
        finished_at = NULL,
        paused_at = CASE WHEN again.batch_id IN (SELECT id FROM batch WHERE paused_at IS NOT NULL) THEN now() END,
        has_extra_data = again.sealed IS NOT NULL, reuse_hash = CASE WHEN again.sealed IS NULL THEN reuse_hash END,
        event_sequence = event_sequence + 1
      FROM again WHERE jobs.id = again.id
      RETURNING jobs.*, again.before, again.sealed, again.dependency
    ), secret AS (
      INSERT INTO job_secrets (job_id, sealed)
      SELECT id, decode(sealed, 'base64') FROM job WHERE sealed IS NOT NULL
    ), event AS (
      INSERT INTO job_events (job_id, sequence, type, attempt, data)
      SELECT id, event_sequence, 'retry_requested', attempt,
        jsonb_strip_nulls(jsonb_build_object('from', before, 'dependency', dependency)) || ${changedBy(by)} || ${pausedWithBatch}
      FROM job
    )
    SELECT ${jobColumns} FROM job ORDER BY job.rank, job.id`;
  return rows.map(jobFromRow);
}
