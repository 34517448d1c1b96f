import { type AttemptEnd, givenBackCode, type JobLease, type NewOutput, toStorableText } from "@genga/jobs";
import { v7 as uuidv7 } from "uuid";
import { Prisma } from "../../generated/client.ts";
import { isOneGiven } from "../../connection/given-rows.ts";
import { toStoredJson } from "../../connection/stored-json.ts";
import { noteEndedPrompts } from "../../keeping/prompts-to-forget.ts";
import { clearedRunWhere } from "../cleared-columns.ts";
import { takenFailure } from "../failure-columns.ts";
import { jobWithEventColumns } from "../job-rows.ts";
import { batchesOf, pausedWithBatch } from "../requests/change-held.ts";

/** How the attempt of one lease ends. */
export interface LeaseEnd {
  lease: JobLease;
  end: AttemptEnd;
  /** What the server's history says, of a job of the door. */
  entry?: string | undefined;
}

/** Which of the jobs a statement ends. */
export interface EndedRows {
  /** On the table `job`. */
  condition: Prisma.Sql;
  /** Whether the statement waits for rows that other transactions have locked. */
  locked: "wait" | "skip";
}

/** The columns of `endRow`. */
const endColumns = Prisma.raw(
  `kind job_status, "leaseStep" int, failure jsonb, data jsonb, charged int, "outOfMemory" int, crash int,
        "avoidServer" boolean, "takenBackFor" uuid, "delayMs" float8, warnings text[], bytes int8`,
);

/** What the statement must know of an end, apart from its outputs. `kind` is NULL for a requeue. */
function endRow(end: AttemptEnd, { leaseStep = 0 } = {}): Record<string, unknown> {
  const requeue = end.kind === "requeue" ? end : null;
  return {
    kind: end.kind === "requeue" ? null : end.kind,
    leaseStep,
    failure: "failure" in end ? end.failure : null,
    data: eventData(end),
    charged: requeue?.charged === true ? 1 : 0,
    outOfMemory: requeue?.counts === "outOfMemory" ? 1 : 0,
    crash: requeue?.counts === "crash" ? 1 : 0,
    avoidServer: requeue?.avoidServer === true,
    takenBackFor: requeue?.takenBackFor ?? null,
    delayMs: requeue?.delayMs ?? 0,
    warnings: warningsOf(end).map(toStorableText),
    bytes: outputsOf(end).reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

function warningsOf(end: AttemptEnd): string[] {
  return end.kind === "completed" ? (end.warnings ?? []) : [];
}

export function outputsOf(end: AttemptEnd): NewOutput[] {
  return end.kind === "completed" ? end.outputs : [];
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
 * The rows of those leases that are still held, locked in the order of their ids, with the ends that are given for them.
 *
 * Each row is found by its id: `LATERAL … LIMIT` leaves PostgreSQL no other way, and a status that is compared as text none by
 * the index of running jobs, in which it may believe a single row. The rest is as in `heldJobs`.
 * @param ends for each job at most one
 */
function heldForEnds(ends: readonly LeaseEnd[], { condition, locked }: EndedRows): Prisma.Sql {
  const rows = ends.map(({ lease: { jobId, attempt, leaseNumber }, end }) => {
    return { jobId, attempt, leaseNumber, given: 1, ...endRow(end) };
  });
  return Prisma.sql`
    SELECT job.id, job.batch_id AS "batchId", job.server_id AS "serverId", job.cancel_requested_at AS "cancelAt", lease.*
    FROM (
      SELECT * FROM jsonb_to_recordset(${toStoredJson(rows)}::jsonb) AS given(
        "jobId" uuid, attempt int, "leaseNumber" int, given int, ${endColumns})
      WHERE ${isOneGiven} ORDER BY "jobId"
    ) lease CROSS JOIN LATERAL (
      SELECT * FROM jobs job
      WHERE job.id = lease."jobId" AND job.attempt = lease.attempt AND job.lease_number = lease."leaseNumber"
        AND job.status::text = 'processing' AND ${condition}
      LIMIT 1 FOR NO KEY UPDATE ${locked === "skip" ? Prisma.sql`SKIP LOCKED` : Prisma.empty}
    ) job`;
}

/** Ends the attempts of those leases that are still held, and stores the outputs; the rows are `JobWithEventRow`s. */
export function endLeases(ends: readonly LeaseEnd[], rows: EndedRows): Prisma.Sql {
  const outputs = ends.flatMap(({ lease: { jobId }, end }) =>
    outputsOf(end).map((output) => ({ ...output, id: uuidv7(), jobId })),
  );
  const held = heldForEnds(ends, rows);
  return endStatement(held, Prisma.sql`${toStoredJson(outputs)}::jsonb`, storedEntries(ends));
}

/** The name of a prepared statement of these ends: entries make it another one, so that other jobs do not pay for them. */
export function statementName(name: string, ends: readonly LeaseEnd[]): string {
  return ends.some(({ entry }) => entry !== undefined) ? `${name}-with-entries` : name;
}

/**
 * A part of the statement that stores the entries, unless there are none. They are stored as they are: as JSON, PostgreSQL would
 * refuse some of them.
 */
function storedEntries(ends: readonly LeaseEnd[]): Prisma.Sql {
  const given = ends.flatMap(({ lease: { jobId }, entry }) =>
    entry === undefined ? [] : [{ jobId, entry }],
  );
  if (given.length === 0) return Prisma.empty;
  return Prisma.sql`, entry AS (
      INSERT INTO door_entries (job_id, attempt, entry)
      SELECT job.id, job.attempt, said.entry
      FROM unnest(${given.map(({ jobId }) => jobId)}::uuid[], ${given.map(({ entry }) => entry)}::text[]) AS said("jobId", entry)
      JOIN job ON job.id = said."jobId" JOIN door_prompts ON door_prompts.job_id = job.id
      WHERE job.status <> 'queued'
      ON CONFLICT (job_id) DO UPDATE SET attempt = excluded.attempt, entry = excluded.entry
    )`;
}

/**
 * The same for all of the jobs in `held`, without outputs.
 * @param held selects and locks rows of `jobs`
 */
export function endAll(held: Prisma.Sql, end: AttemptEnd, { leaseStep }: { leaseStep: number }): Prisma.Sql {
  const ended = Prisma.sql`
    SELECT job.id, job.batch_id AS "batchId", job.server_id AS "serverId", job.cancel_requested_at AS "cancelAt", given.*
    FROM (${held}) job
    CROSS JOIN jsonb_to_record(${toStoredJson(endRow(end, { leaseStep }))}::jsonb) AS given(${endColumns})`;
  return endStatement(ended, Prisma.sql`'[]'::jsonb`);
}

/**
 * Ends the attempts of the jobs in `held` (their ids, batches, servers and cancel requests, with `endColumns`). A pending
 * cancel request turns a requeue into `cancelled`. A requeued job shows the failure that caused it, unless its prompt was
 * taken back or given back, which is none. Ended jobs keep `server`, `client` and `prompt`, which can still be read.
 */
function endStatement(held: Prisma.Sql, outputs: Prisma.Sql, entries = Prisma.empty): Prisma.Sql {
  return Prisma.sql`
    WITH held AS (${held}
    ), decided AS (
      SELECT held.*, CASE WHEN kind IS NOT NULL THEN kind WHEN "cancelAt" IS NULL THEN 'queued' ELSE 'cancelled' END AS fate
      FROM held
    ), ended AS (
      SELECT decided.*, fate = 'queued' AS requeued,
        CASE WHEN fate IN ('failed', 'timeout', 'queued') AND "takenBackFor" IS NULL
          AND failure ->> 'code' IS DISTINCT FROM ${givenBackCode}::text THEN failure END AS shown
      FROM decided
    ), ${batchesOf(Prisma.sql`SELECT "batchId" FROM ended WHERE requeued`)}
    , job AS (
      UPDATE jobs SET status = fate,
        phase = CASE WHEN requeued THEN 'waiting'::job_phase END,
        finished_at = CASE WHEN requeued THEN NULL ELSE now() END,
        lease_number = lease_number + "leaseStep", lease_owner = NULL, lease_expires_at = NULL,
        percent = CASE fate WHEN 'completed' THEN 100 WHEN 'queued' THEN 0 ELSE percent END,
        ${clearedRunWhere(Prisma.sql`requeued`)},
        run_at = CASE WHEN requeued AND "delayMs" > 0 THEN now() + "delayMs" * interval '1 millisecond' END,
        paused_at = CASE WHEN requeued AND "batchId" IN (SELECT id FROM batch WHERE paused_at IS NOT NULL) THEN now() END,
        enqueued_at = CASE WHEN requeued THEN NULL ELSE enqueued_at END,
        avoid_server_id = CASE WHEN requeued AND "avoidServer" THEN "serverId" END,
        take_back_for = CASE WHEN requeued THEN "takenBackFor" END, take_back_asked_at = NULL, take_back_begun = false,
        attempts_charged = attempts_charged + charged,
        out_of_memory_count = out_of_memory_count + "outOfMemory",
        crash_count = crash_count + crash,
        cancel_too_late = fate = 'completed' AND cancel_requested_at IS NOT NULL,
        ${takenFailure}, warnings = ended.warnings,
        output_bytes = CASE WHEN fate = 'completed' THEN bytes ELSE 0 END,
        event_sequence = event_sequence + 1
      FROM ended WHERE jobs.id = ended.id
      RETURNING jobs.*, ended.requeued, ended.failure AS "endFailure", ended.data AS "endData"
    ), attempt AS (
      UPDATE job_attempts SET finished_at = now(), lease_number = job.lease_number, failure = job."endFailure",
        outcome = CASE WHEN requeued THEN 'requeued' ELSE job.status::text::attempt_outcome END
      FROM job WHERE job_attempts.job_id = job.id AND job_attempts.number = job.attempt
      RETURNING job_attempts.prompt_id, job_attempts.server_id
    ), prompt AS (${noteEndedPrompts}
    ), output AS (
      INSERT INTO outputs (id, job_id, attempt, index, node_id, key, kind, filename, media_type, bytes, sha256, width,
        height, duration_ms, storage_key, text)
      SELECT new.id, job.id, job.attempt, new.index, new."nodeId", new.key, new.kind, new.filename, new."mediaType",
        new.bytes, new.sha256, new.width, new.height, new."durationMs", new."storageKey", new.text
      FROM job JOIN jsonb_to_recordset(${outputs}) AS new("jobId" uuid,
        id uuid, index int, "nodeId" text, key text, kind output_kind, filename text, "mediaType" text, bytes bigint,
        sha256 text, width int, height int, "durationMs" int, "storageKey" text, text text) ON new."jobId" = job.id
    )${entries}, event AS (
      INSERT INTO job_events (job_id, sequence, type, attempt, data)
      SELECT id, event_sequence, CASE WHEN requeued THEN 'requeued' ELSE status::text END, attempt,
        CASE WHEN status = 'cancelled' THEN '{}' ELSE "endData" || ${pausedWithBatch} END
      FROM job
      RETURNING *
    )
    SELECT ${jobWithEventColumns} FROM job JOIN event ON event.job_id = job.id ORDER BY job.id`;
}
