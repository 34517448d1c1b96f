import { StoreUnavailableError, type Job, type JobPriority, type TerminalStatus } from "@genga/jobs";
import { type Prisma, type PrismaClient } from "./generated/client.ts";
import { jobColumns, jobFromRow, type JobRow } from "./job-rows.ts";
import { recount, takeRoom, type QueueLimit } from "./queue-room.ts";
import { reserveRanks } from "./rank-reservation.ts";
import { toStoredJson } from "./stored-json.ts";

/**
 * Ended jobs of one tenant start anew at the end of its queue: counters, failure and queue deadline are cleared, the
 * history stays. Only those that still have one of the `statuses` do; they come back.
 * @throws LimitReachedError when the tenant's queue has no room for all of them
 */
export async function restartJobs(
  database: PrismaClient,
  jobs: { id: string; tenantId: string; priority: JobPriority }[],
  statuses: readonly TerminalStatus[],
  limit: QueueLimit,
): Promise<Job[]> {
  const [first] = jobs;
  if (first === undefined) return [];
  const { tenantId } = first;
  const perPriority = new Map<JobPriority, number>();
  for (const { priority } of jobs) perPriority.set(priority, (perPriority.get(priority) ?? 0) + 1);
  const takeRank = await reserveRanks(database, tenantId, perPriority, limit);
  if (takeRank !== null) {
    const ranked = jobs.map(({ id, priority }) => ({ id, rank: takeRank(priority) }));
    const restarted = await restartRows(database, ranked, statuses, takeRoom(tenantId, jobs.length, limit));
    if (restarted.length > 0) return restarted;
  }
  // Either there was no room, or none of them has such a status any more.
  await recount(database, tenantId, jobs.length, limit);
  const takeLaterRank = await reserveRanks(database, tenantId, perPriority, limit);
  if (takeLaterRank === null) throw new StoreUnavailableError(undefined, { fault: "busy", wasRefused: true });
  const ranked = jobs.map(({ id, priority }) => ({ id, rank: takeLaterRank(priority) }));
  return await restartRows(database, ranked, statuses, takeRoom(tenantId, jobs.length, limit));
}

async function restartRows(
  database: PrismaClient,
  ranked: { id: string; rank: number }[],
  statuses: readonly TerminalStatus[],
  room: Prisma.Sql,
): Promise<Job[]> {
  const rows = await database.$queryRaw<JobRow[]>`
    WITH room AS (${room}
    ), again AS (
      SELECT job.id, asked.rank, job.status AS before
      FROM jobs job JOIN jsonb_to_recordset(${toStoredJson(ranked)}::jsonb) AS asked(id uuid, rank int)
        ON asked.id = job.id
      WHERE job.status::text = ANY (${[...statuses]}::text[]) AND EXISTS (SELECT FROM room)
      ORDER BY job.id FOR NO KEY UPDATE OF job
    ), job AS (
      UPDATE jobs SET status = 'queued', phase = 'waiting', rank = again.rank,
        attempts_charged = 0, out_of_memory_count = 0, crash_count = 0, avoid_server_id = NULL,
        server_id = NULL, client_id = NULL, prompt_id = NULL, percent = 0, node = NULL, node_title = NULL,
        step = NULL, steps = NULL, nodes_done = NULL, nodes_total = NULL, failure_class = NULL, failure_code = NULL,
        failure_message = NULL, failure_node_id = NULL, failure_node_type = NULL, cancel_requested_at = NULL,
        run_at = NULL, enqueued_at = NULL, expires_at = NULL, finished_at = NULL, event_sequence = event_sequence + 1
      FROM again WHERE jobs.id = again.id
      RETURNING jobs.*, again.before
    ), event AS (
      INSERT INTO job_events (job_id, sequence, type, attempt, data)
      SELECT id, event_sequence, 'retry_requested', attempt, jsonb_build_object('from', before) FROM job
    )
    SELECT ${jobColumns} FROM job ORDER BY job.rank`;
  return rows.map(jobFromRow);
}
