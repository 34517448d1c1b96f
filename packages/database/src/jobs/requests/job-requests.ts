import {
  ExtraDataNeededError,
  IllegalTransitionError,
  isTerminal,
  type CancelResult,
  type Job,
  type JobEvent,
  type SealForJob,
} from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { changedBy } from "./changed-by.ts";
import { type PrismaClient } from "../../generated/client.ts";
import { jobWithEventColumns, jobWithEventFromRow, type JobWithEventRow } from "../job-rows.ts";
import { type QueueLimit } from "../accepting/queue-room.ts";
import { findJob } from "../reading/find-jobs.ts";
import { restartJobs } from "./restart-jobs.ts";

/** Queued: ends at once. Processing: the request is noted for its worker, once. Ended: nothing changes. */
export async function requestCancel(
  database: PrismaClient,
  id: string,
  by?: string,
): Promise<CancelResult | "removed" | null> {
  if (!isUuid(id)) return null;
  for (;;) {
    const ended = await cancelQueued(database, id, by);
    if (ended !== null) return { outcome: "cancelled", ...ended };
    const noted = await noteRequest(database, id, by);
    if (noted !== null) return { outcome: "requested", ...noted };
    const job = await findJob(database, id);
    if (job === null || job === "removed") return job;
    if (isTerminal(job.status)) return { outcome: "ended", job };
    if (job.cancelRequestedAt !== null) return { outcome: "requested", job, event: null };
    // It changed between the looks above, back to the queue or out of it; whatever it is now is asked again.
  }
}

async function cancelQueued(
  database: PrismaClient,
  id: string,
  by: string | undefined,
): Promise<{ job: Job; event: JobEvent } | null> {
  const [row] = await database.$queryRaw<JobWithEventRow[]>`
    WITH job AS (
      UPDATE jobs SET status = 'cancelled', phase = NULL, cancel_requested_at = now(), finished_at = now(),
        run_at = NULL, avoid_server_id = NULL, failure_class = NULL, failure_code = NULL, failure_message = NULL,
        failure_node_id = NULL, failure_node_type = NULL, event_sequence = event_sequence + 1
      WHERE id = ${id}::uuid AND status = 'queued'
      RETURNING *
    ), event AS (
      INSERT INTO job_events (job_id, sequence, type, attempt, data)
      SELECT id, event_sequence, 'cancelled', attempt, ${changedBy(by)} FROM job
      RETURNING *
    )
    SELECT ${jobWithEventColumns} FROM job JOIN event ON event.job_id = job.id`;
  return row === undefined ? null : jobWithEventFromRow(row);
}

async function noteRequest(
  database: PrismaClient,
  id: string,
  by: string | undefined,
): Promise<{ job: Job; event: JobEvent } | null> {
  const [row] = await database.$queryRaw<JobWithEventRow[]>`
    WITH job AS (
      UPDATE jobs SET cancel_requested_at = now(), event_sequence = event_sequence + 1
      WHERE id = ${id}::uuid AND status = 'processing' AND cancel_requested_at IS NULL
      RETURNING *
    ), event AS (
      INSERT INTO job_events (job_id, sequence, type, attempt, data)
      SELECT id, event_sequence, 'cancel_requested', attempt, ${changedBy(by)} FROM job
      RETURNING *
    )
    SELECT ${jobWithEventColumns} FROM job JOIN event ON event.job_id = job.id`;
  return row === undefined ? null : jobWithEventFromRow(row);
}

/** A fresh start at the end of its tenant's queue: counters and failure are cleared, the history stays. */
export async function retryJob(
  database: PrismaClient,
  id: string,
  limit: QueueLimit,
  seal: SealForJob | undefined,
  by: string | undefined,
): Promise<Job | "removed" | null> {
  const before = await findJob(database, id);
  if (before === null || before === "removed") return before;
  if (!isTerminal(before.status) || before.status === "completed") {
    throw new IllegalTransitionError(before.status, "queued");
  }
  const [needing] = await database.$queryRaw<unknown[]>`
    SELECT FROM jobs WHERE id = ${id}::uuid AND has_extra_data`;
  if (needing !== undefined && seal === undefined) throw new ExtraDataNeededError(1);
  const ended = { ...before, ...(seal !== undefined && { sealedExtraData: seal(before.id) }) };
  const [restarted] = await restartJobs(database, [ended], [before.status], { limit, by });
  if (restarted !== undefined) return restarted;
  const after = await findJob(database, id);
  if (after === null || after === "removed") return after;
  throw new IllegalTransitionError(after.status, "queued");
}
