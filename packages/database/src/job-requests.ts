import {
  IllegalTransitionError,
  isTerminal,
  type CancelResult,
  type Job,
  type JobStatus,
  type TerminalStatus,
} from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { type PrismaClient } from "./generated/client.ts";
import {
  jobColumns,
  jobFromRow,
  jobWithEventColumns,
  jobWithEventFromRow,
  type JobRow,
  type JobWithEventRow,
} from "./job-rows.ts";
import { reserveRanks } from "./rank-reservation.ts";
import { findJob } from "./read-jobs.ts";

/** Queued: ends at once. Processing: the request is noted for its worker, once. Ended: nothing changes. */
export async function requestCancel(
  database: PrismaClient,
  id: string,
): Promise<CancelResult | "removed" | null> {
  if (!isUuid(id)) return null;
  for (;;) {
    const [row] = await database.$queryRaw<JobWithEventRow[]>`
      WITH held AS (
        SELECT id, status = 'queued' AS ends FROM jobs
        WHERE id = ${id}::uuid AND (status = 'queued' OR (status = 'processing' AND cancel_requested_at IS NULL))
        FOR NO KEY UPDATE
      ), job AS (
        UPDATE jobs SET cancel_requested_at = now(), event_sequence = event_sequence + 1,
          status = CASE WHEN ends THEN 'cancelled' ELSE status END,
          phase = CASE WHEN ends THEN NULL ELSE phase END,
          finished_at = CASE WHEN ends THEN now() END,
          run_at = NULL, avoid_server_id = NULL, failure_class = NULL, failure_code = NULL, failure_message = NULL,
          failure_node_id = NULL, failure_node_type = NULL
        FROM held WHERE jobs.id = held.id
        RETURNING jobs.*
      ), event AS (
        INSERT INTO job_events (job_id, sequence, type, attempt)
        SELECT id, event_sequence, CASE status WHEN 'cancelled' THEN 'cancelled' ELSE 'cancel_requested' END, attempt
        FROM job
        RETURNING *
      )
      SELECT ${jobWithEventColumns} FROM job JOIN event ON event.job_id = job.id`;
    if (row !== undefined) {
      const { job, event } = jobWithEventFromRow(row);
      return { outcome: job.status === "cancelled" ? "cancelled" : "requested", job, event };
    }
    const job = await findJob(database, id);
    if (job === null || job === "removed") return job;
    if (isTerminal(job.status)) return { outcome: "ended", job };
    if (job.cancelRequestedAt !== null) return { outcome: "requested", job, event: null };
    // It was ended above and has been retried since: it is a queued job again, and is asked again.
  }
}

const retryable: readonly TerminalStatus[] = ["failed", "timeout", "cancelled"];

/** A fresh start at the end of its tenant's queue: counters and failure are cleared, the history stays. */
export async function retryJob(database: PrismaClient, id: string): Promise<Job | "removed" | null> {
  const before = await findJob(database, id);
  if (before === null || before === "removed") return before;
  if (!retryable.some((status) => status === before.status)) {
    throw new IllegalTransitionError(before.status, "queued");
  }
  const takeRank = await reserveRanks(database, before.tenantId, new Map([[before.priority, 1]]));
  const [row] = await database.$queryRaw<JobRow[]>`
    WITH held AS (
      SELECT id, status FROM jobs WHERE id = ${id}::uuid AND status = ANY(${retryable}::text[]::job_status[])
      FOR NO KEY UPDATE
    ), job AS (
      UPDATE jobs SET status = 'queued', phase = 'waiting', rank = ${takeRank(before.priority)}::int,
        attempts_charged = 0, out_of_memory_count = 0, crash_count = 0, avoid_server_id = NULL,
        server_id = NULL, client_id = NULL, prompt_id = NULL, percent = 0, node = NULL, node_title = NULL,
        step = NULL, steps = NULL, nodes_done = NULL, nodes_total = NULL, failure_class = NULL, failure_code = NULL,
        failure_message = NULL, failure_node_id = NULL, failure_node_type = NULL, cancel_requested_at = NULL,
        run_at = NULL, enqueued_at = NULL, finished_at = NULL, event_sequence = event_sequence + 1
      FROM held WHERE jobs.id = held.id
      RETURNING jobs.*
    ), event AS (
      INSERT INTO job_events (job_id, sequence, type, attempt, data)
      SELECT job.id, event_sequence, 'retry_requested', attempt, jsonb_build_object('from', held.status)
      FROM job JOIN held ON held.id = job.id
    )
    SELECT ${jobColumns} FROM job`;
  if (row !== undefined) return jobFromRow(row);
  const after = await findJob(database, id);
  if (after === null || after === "removed") return after;
  throw new IllegalTransitionError(after.status, "queued");
}

/** The row is locked before its files are listed, so that none can be added in between. */
export async function removeJob(
  database: PrismaClient,
  id: string,
): Promise<{ storageKeys: string[] } | "removed" | null> {
  if (!isUuid(id)) return null;
  return await database.$transaction(async (transaction) => {
    const [job] = await transaction.$queryRaw<{ tenantId: string; status: JobStatus }[]>`
      SELECT tenant_id AS "tenantId", status FROM jobs WHERE id = ${id}::uuid FOR UPDATE`;
    if (job === undefined) {
      return (await transaction.removedJob.findUnique({ where: { id } })) === null ? null : "removed";
    }
    if (!isTerminal(job.status)) throw new IllegalTransitionError(job.status, "removed");
    const files = await transaction.jobOutput.findMany({
      where: { jobId: id },
      select: { storageKey: true },
    });
    await transaction.removedJob.create({ data: { id, tenantId: job.tenantId } });
    await transaction.job.delete({ where: { id } });
    return { storageKeys: files.flatMap(({ storageKey }) => storageKey ?? []) };
  });
}
