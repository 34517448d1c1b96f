import {
  type AttemptEnd,
  type AttemptResult,
  type Job,
  type JobEvent,
  type JobFailure,
  type JobLease,
  type NewOutput,
  type TerminalStatus,
  toStorableText,
} from "@genga/jobs";
import { v7 as uuidv7 } from "uuid";
import { Prisma, type AttemptOutcome, type PrismaClient } from "../../generated/client.ts";
import { clearedRunWhere } from "../cleared-columns.ts";
import { takenFailure } from "../failure-columns.ts";
import { passOnEnd } from "../dependencies/pass-on-ends.ts";
import { heldJobs } from "./hold-leases.ts";
import {
  eventColumns,
  eventFromRow,
  jobFromRow,
  jobWithEventColumns,
  jobWithEventFromRow,
  type EventRow,
  type JobWithEventRow,
} from "../job-rows.ts";
import { batchesOf, pausedWithBatch } from "../requests/change-held.ts";
import { noteEndedPrompts } from "../../keeping/prompts-to-forget.ts";
import { repeatConflicts } from "../../connection/repeat-conflicts.ts";
import { toStoredJson } from "../../connection/stored-json.ts";

/** An end with dependents takes a handful of statements. */
const transactionLimits = { timeout: 15_000, maxWait: 5_000 };

/**
 * Writes outputs, status, attempt, event and the prompt to forget in one statement, fenced by the lease. For a job with
 * dependents this is a transaction of several statements, the later of which see the dependents that were accepted while
 * the first one waited for the job's row.
 *
 * When the answer to a commit was lost, the caller does not know whether the statement took effect, and calls again.
 * The attempt's row keeps the lease number under which it ended. If the attempt has ended in the same way under the
 * caller's lease, that was the caller's own earlier statement, and what it recorded is returned again.
 */
export async function endAttempt(
  database: PrismaClient,
  lease: JobLease,
  end: AttemptEnd,
): Promise<AttemptResult> {
  const outputs = end.kind === "completed" ? end.outputs : [];
  const endWhere = (condition: Prisma.Sql): Prisma.Sql =>
    endStatement(Prisma.sql`WITH held AS (${heldJobs([lease], condition)}) ${decide(end)}`, outputs);
  const alone = Prisma.sql`NOT job.has_dependents`;
  const [row] = await database.$queryRaw<JobWithEventRow[]>(endWhere(alone));
  if (row !== undefined) return endedOf(row);
  const ended = await repeatConflicts(() =>
    database.$transaction(async (transaction) => {
      const [needed] = await transaction.$queryRaw<JobWithEventRow[]>(endWhere(Prisma.sql`true`));
      if (needed === undefined) return null;
      const { status, ...result } = endedOf(needed);
      if (status === "queued") return { status, ...result };
      return { status, ...result, passedOn: await passOnEnd(transaction, { id: needed.id, status }) };
    }, transactionLimits),
  );
  return ended ?? (await findEarlierEnd(database, lease, end));
}

function endedOf(row: JobWithEventRow): Extract<AttemptResult, { held: true }> {
  const { job, event } = jobWithEventFromRow(row);
  return { held: true, status: endedAs(job), job, event };
}

/**
 * Requeues jobs that no worker watches: the lease has been expired for `graceMs`, and the server has no owner who could
 * adopt the job. The lease number rises, so that writes of the last owner have no effect if it comes back.
 */
export async function requeueAbandoned(
  database: PrismaClient,
  graceMs: number,
): Promise<{ job: Job; event: JobEvent }[]> {
  const failure: JobFailure = {
    class: "server",
    code: "server-abandoned",
    message: "No worker owns the server on which the job ran; the job waits for another server.",
  };
  const held = Prisma.sql`
    WITH held AS (
      SELECT job.* FROM jobs job JOIN servers server ON server.id = job.server_id
      WHERE job.status = 'processing' AND job.lease_expires_at <= now() - ${graceMs}::float8 * interval '1 millisecond'
        AND (server.lease_expires_at IS NULL OR server.lease_expires_at <= now())
      ORDER BY job.id LIMIT ${abandonedAtOnce} FOR NO KEY UPDATE OF job SKIP LOCKED
    )
    ${decide({ kind: "requeue", failure, delayMs: 0, charged: false, avoidServer: false }, { leaseStep: 1 })}`;
  const rows = await database.$queryRaw<JobWithEventRow[]>(endStatement(held, []));
  return rows.map(jobWithEventFromRow);
}

/** The sweeper runs every second, so the rest waits until then. */
const abandonedAtOnce = 500;

/** Selects how each job in `held` ends: a pending cancel request turns a requeue into `cancelled`. */
function decide(end: AttemptEnd, { leaseStep = 0 } = {}): Prisma.Sql {
  const failure = "failure" in end ? end.failure : null;
  const requeue = end.kind === "requeue" ? end : null;
  return Prisma.sql`
    SELECT held.id, held.batch_id AS "batchId", ${leaseStep}::int AS "leaseStep",
      ${failure === null ? null : toStoredJson(failure)}::jsonb AS failure,
      ${toStoredJson(eventData(end))}::jsonb AS data,
      ${requeue?.charged === true ? 1 : 0}::int AS charged,
      ${requeue?.counts === "outOfMemory" ? 1 : 0}::int AS "outOfMemory",
      ${requeue?.counts === "crash" ? 1 : 0}::int AS crash,
      CASE WHEN ${requeue?.avoidServer === true}::boolean THEN held.server_id END AS "avoidServerId",
      ${requeue?.takenBackFor ?? null}::uuid AS "takenBackFor",
      ${requeue?.delayMs ?? 0}::float8 * interval '1 millisecond' AS delay,
      ${warningsOf(end).map(toStorableText)}::text[] AS warnings,
      CASE
        WHEN ${requeue === null}::boolean THEN ${requeue === null ? end.kind : null}::job_status
        WHEN held.cancel_requested_at IS NULL THEN 'queued'
        ELSE 'cancelled'
      END AS status
    FROM held`;
}

function warningsOf(end: AttemptEnd): string[] {
  return end.kind === "completed" ? (end.warnings ?? []) : [];
}

function eventData(end: AttemptEnd): object {
  switch (end.kind) {
    case "completed": {
      const warnings = warningsOf(end);
      return { outputs: end.outputs.length, ...(warnings.length > 0 && { warnings }) };
    }
    case "failed":
    case "timeout":
      return end.failure;
    case "cancelled":
      return {};
    case "requeue":
      return { code: end.failure.code, message: end.failure.message, delayMs: end.delayMs };
  }
}

/**
 * Ends the attempts of the jobs in `decided` (the columns of `decide`). A requeued job shows the failure that caused
 * it, unless its prompt was taken back, which is none. Ended jobs keep `server`, `client` and `prompt`, which can still be read.
 */
function endStatement(decided: Prisma.Sql, outputs: NewOutput[]): Prisma.Sql {
  return Prisma.sql`
    WITH decided AS (
      ${decided}
    ), fate AS (
      SELECT decided.*, status = 'queued' AS requeued,
        CASE WHEN status IN ('failed', 'timeout', 'queued') AND "takenBackFor" IS NULL THEN failure END AS shown
      FROM decided
    ), ${batchesOf(Prisma.sql`SELECT "batchId" FROM fate WHERE requeued`)}
    , job AS (
      UPDATE jobs SET status = fate.status,
        phase = CASE WHEN requeued THEN 'waiting'::job_phase END,
        finished_at = CASE WHEN requeued THEN NULL ELSE now() END,
        lease_number = lease_number + fate."leaseStep", lease_owner = NULL, lease_expires_at = NULL,
        percent = CASE fate.status WHEN 'completed' THEN 100 WHEN 'queued' THEN 0 ELSE percent END,
        ${clearedRunWhere(Prisma.sql`requeued`)},
        run_at = CASE WHEN requeued THEN now() + fate.delay END,
        paused_at = CASE WHEN requeued AND fate."batchId" IN (SELECT id FROM batch WHERE paused_at IS NOT NULL) THEN now() END,
        enqueued_at = CASE WHEN requeued THEN NULL ELSE enqueued_at END,
        avoid_server_id = CASE WHEN requeued THEN fate."avoidServerId" END,
        take_back_for = CASE WHEN requeued THEN fate."takenBackFor" END, take_back_asked_at = NULL, take_back_begun = false,
        attempts_charged = attempts_charged + fate.charged,
        out_of_memory_count = out_of_memory_count + fate."outOfMemory",
        crash_count = crash_count + fate.crash,
        cancel_too_late = fate.status = 'completed' AND cancel_requested_at IS NOT NULL,
        ${takenFailure}, warnings = fate.warnings,
        output_bytes = CASE WHEN fate.status = 'completed' THEN ${bytesOf(outputs)}::bigint ELSE 0 END,
        event_sequence = event_sequence + 1
      FROM fate WHERE jobs.id = fate.id
      RETURNING jobs.*
    ), attempt AS (
      UPDATE job_attempts SET finished_at = now(), lease_number = job.lease_number, failure = fate.failure,
        outcome = CASE WHEN requeued THEN 'requeued' ELSE job.status::text::attempt_outcome END
      FROM job JOIN fate ON fate.id = job.id
      WHERE job_attempts.job_id = job.id AND job_attempts.number = job.attempt
      RETURNING job_attempts.prompt_id, job_attempts.server_id
    ), prompt AS (${noteEndedPrompts}
    ), output AS (${outputInsert(outputs)}
    ), event AS (
      INSERT INTO job_events (job_id, sequence, type, attempt, data)
      SELECT job.id, job.event_sequence, CASE WHEN requeued THEN 'requeued' ELSE job.status::text END, job.attempt,
        CASE WHEN job.status = 'cancelled' THEN '{}' ELSE fate.data || ${pausedWithBatch} END
      FROM job JOIN fate ON fate.id = job.id
      RETURNING *
    )
    SELECT ${jobWithEventColumns} FROM job JOIN event ON event.job_id = job.id ORDER BY job.id`;
}

function bytesOf(outputs: NewOutput[]): bigint {
  return outputs.reduce((sum, { bytes }) => sum + BigInt(bytes), 0n);
}

function outputInsert(outputs: NewOutput[]): Prisma.Sql {
  const rows = outputs.map((output) => ({ ...output, id: uuidv7() }));
  return Prisma.sql`
    INSERT INTO outputs (id, job_id, attempt, index, node_id, key, kind, filename, media_type, bytes, sha256, width,
      height, duration_ms, storage_key, text)
    SELECT new.id, job.id, job.attempt, new.index, new."nodeId", new.key, new.kind, new.filename, new."mediaType",
      new.bytes, new.sha256, new.width, new.height, new."durationMs", new."storageKey", new.text
    FROM job, jsonb_to_recordset(${toStoredJson(rows)}::jsonb) AS new(
      id uuid, index int, "nodeId" text, key text, kind output_kind, filename text, "mediaType" text, bytes bigint,
      sha256 text, width int, height int, "durationMs" int, "storageKey" text, text text)`;
}

/** The caller's own earlier end of this attempt, if there is one; see `endAttempt`. */
async function findEarlierEnd(
  database: PrismaClient,
  lease: JobLease,
  end: AttemptEnd,
): Promise<AttemptResult> {
  const attempt = await database.jobAttempt.findUnique({
    where: { jobId_number: { jobId: lease.jobId, number: lease.attempt } },
    include: { job: true },
  });
  const outcome = attempt?.outcome ?? null;
  if (attempt === null || outcome === null || attempt.leaseNumber !== lease.leaseNumber)
    return { held: false };
  if (!outcomesOf(end).includes(outcome)) return { held: false };
  const [row] = await database.$queryRaw<EventRow[]>`
    SELECT ${eventColumns} FROM job_events event
    WHERE event.job_id = ${lease.jobId}::uuid AND event.attempt = ${lease.attempt} AND event.type = ${outcome}
    ORDER BY event.sequence LIMIT 1`;
  // The job was removed between the two statements, with all of its rows.
  if (row === undefined) return { held: false };
  const status = outcome === "requeued" ? "queued" : outcome;
  return { held: true, status, job: jobFromRow(attempt.job), event: eventFromRow(row) };
}

function outcomesOf(end: AttemptEnd): AttemptOutcome[] {
  return end.kind === "requeue" ? ["requeued", "cancelled"] : [end.kind];
}

function endedAs(job: Job): TerminalStatus | "queued" {
  if (job.status === "processing")
    throw new Error(`Job ${job.id} is still processing after its attempt ended.`);
  return job.status;
}
