import {
  isTerminal,
  type JobRuns,
  type JobStatus,
  type PassedOn,
  StoreUnavailableError,
  type TerminalStatus,
} from "@genga/jobs";
import { mapDatabaseError } from "../../connection/database-errors.ts";
import { repeatConflicts } from "../../connection/repeat-conflicts.ts";
import { type PreparedStatements, type Statements } from "../../connection/plain-statements.ts";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { takenFailure } from "../failure-columns.ts";
import {
  jobColumns,
  jobFromRow,
  jobWithEventColumns,
  jobWithEventFromRow,
  type JobRow,
  type JobWithEventRow,
} from "../job-rows.ts";
import { isReady } from "../ready-jobs.ts";
import { recordFiles } from "./record-files.ts";

// docs/decisions/0015-dependencies.md says which rows are locked in which order, and why no end is lost.

/** Dependents that one transaction releases or fails. The sweeper comes to the rest within a second. */
const dependentsAtOnce = 500;

/** Who holds a row of a job holds the rest, too; whatever else is locked refuses one end, and delays the others by this. */
const otherLocksMs = 1_000;

const transactionLimits = { timeout: 15_000, maxWait: 5_000 };

/** The end of a job as far as its dependents are concerned. */
interface EndedJob {
  id: string;
  status: TerminalStatus;
}

/**
 * Passes the end of one job on, in the transaction that ended the job or that has locked its row: releases the jobs
 * that waited for its completion, or fails all jobs below it.
 */
export async function passOnEnd(transaction: Prisma.TransactionClient, ended: EndedJob): Promise<PassedOn> {
  const { released, failed } = await passOnTo(transaction, ended, await lockDependents(transaction, ended));
  return { released, failed };
}

/** @returns also whether the note is still there although nothing was passed on: other transactions hold what is left */
async function passOnTo(
  transaction: Prisma.TransactionClient,
  ended: EndedJob,
  locked: string[],
): Promise<PassedOn & { isLocked: boolean }> {
  const passedOn: PassedOn = { released: [], failed: [] };
  const isCompleted = ended.status === "completed";
  if (locked.length > 0 && isCompleted) passedOn.released = await release(transaction, [ended.id], locked);
  else if (locked.length > 0) passedOn.failed = await fail(transaction, [ended.id], locked);
  const dropped = await dropNotes(transaction, [ended.id, ...passedOn.failed.map(({ job }) => job.id)]);
  const isMoving = isCompleted ? locked.length > 0 : passedOn.failed.length > 0;
  return { ...passedOn, isLocked: !isMoving && !dropped.includes(ended.id) };
}

/**
 * Passes on that these jobs have completed, in the transaction that completed them: releases what waited for them, as far
 * as no other transaction has locked it. What is left keeps its note.
 * @returns the jobs that are ready now, and those of the completed ones that still have something to pass on, if that is
 * little: of many dependents, the sweeper comes to the rest
 */
export async function passOnCompleted(
  transaction: Statements & PreparedStatements,
  completed: string[],
): Promise<{ released: PassedOn["released"]; left: string[] }> {
  if (completed.length === 0) return { released: [], left: [] };
  const locked = await transaction.$queryPrepared<{ id: string }[]>(
    "lock-dependents",
    lockStatement(completed),
  );
  const released =
    locked.length === 0
      ? []
      : await release(
          transaction,
          completed,
          locked.map(({ id }) => id),
        );
  const dropped = new Set(await dropNotes(transaction, completed));
  const isMuch = locked.length >= dependentsAtOnce;
  return { released, left: isMuch ? [] : completed.filter((id) => !dropped.has(id)) };
}

/** Locks jobs that wait for these, in the order of their ids, unless somebody else has locked them. Exported for tests of its plan. */
export function lockStatement(completed: string[]): Prisma.Sql {
  return Prisma.sql`
    SELECT job.id FROM (
      SELECT DISTINCT edge.job_id FROM unnest(${completed}::uuid[]) AS needed(id) CROSS JOIN LATERAL (
        SELECT job_id FROM job_dependencies WHERE needs_id = needed.id AND met_at IS NULL LIMIT ${dependentsAtOnce}::int
      ) edge ORDER BY edge.job_id LIMIT ${dependentsAtOnce}::int
    ) below CROSS JOIN LATERAL (
      SELECT id FROM jobs WHERE id = below.job_id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
    ) job`;
}

/**
 * Of a completed job, the jobs that depend on it directly; else all queued jobs below it, nearest first. The following
 * statements see the rows as they are under these locks.
 * @param whenLocked `SKIP LOCKED` leaves out rows that other transactions hold
 */
async function lockDependents(
  transaction: Prisma.TransactionClient,
  { id, status }: EndedJob,
  whenLocked: Prisma.Sql = Prisma.empty,
): Promise<string[]> {
  const below =
    status === "completed"
      ? Prisma.sql`
        SELECT edge.job_id FROM job_dependencies edge WHERE edge.needs_id = ${id}::uuid AND edge.met_at IS NULL`
      : Prisma.sql`
        SELECT edge.job_id FROM job_dependencies edge JOIN jobs dependent ON dependent.id = edge.job_id
        WHERE edge.needs_id = ${id}::uuid AND edge.met_at IS NULL AND dependent.status = 'queued'
        UNION
        SELECT edge.job_id FROM below JOIN job_dependencies edge ON edge.needs_id = below.job_id AND edge.met_at IS NULL
        JOIN jobs dependent ON dependent.id = edge.job_id
        WHERE dependent.status = 'queued'`;
  const rows = await transaction.$queryRaw<{ id: string }[]>`
    WITH RECURSIVE below(job_id) AS (${below}
    )
    SELECT id FROM jobs WHERE id IN (SELECT job_id FROM below LIMIT ${dependentsAtOnce}) ORDER BY id
    FOR NO KEY UPDATE ${whenLocked}`;
  return rows.map((row) => row.id);
}

/** Each dependency is counted once, whoever repeats this; one that meets two dependencies of a job subtracts two. */
async function release(
  transaction: Statements,
  completed: string[],
  locked: string[],
): Promise<PassedOn["released"]> {
  await recordFiles(transaction, completed, locked);
  const rows = await transaction.$queryRaw<JobRow[]>`
    WITH met AS (
      UPDATE job_dependencies SET met_at = now()
      WHERE needs_id = ANY(${completed}::uuid[]) AND job_id = ANY(${locked}::uuid[]) AND met_at IS NULL
      RETURNING job_id
    ), job AS (
      UPDATE jobs SET open_dependencies = open_dependencies - met_of.count
      FROM (SELECT job_id, count(*)::int AS count FROM met GROUP BY job_id) met_of
      WHERE jobs.id = met_of.job_id
      RETURNING jobs.*
    )
    SELECT ${jobColumns} FROM job WHERE ${isReady} ORDER BY job.id`;
  return rows.map(jobFromRow);
}

/**
 * Fails all locked jobs below the ended ones in one statement. Each names the job that ended first; a job that itself
 * failed because of a dependency hands its own reason down.
 */
async function fail(
  transaction: Prisma.TransactionClient,
  ended: string[],
  locked: string[],
): Promise<PassedOn["failed"]> {
  const rows = await transaction.$queryRaw<JobWithEventRow[]>`
    WITH RECURSIVE below(job_id, cause_id) AS (
      SELECT edge.job_id, edge.needs_id FROM job_dependencies edge
      WHERE edge.needs_id = ANY(${ended}::uuid[]) AND edge.met_at IS NULL AND edge.job_id = ANY(${locked}::uuid[])
      UNION
      SELECT edge.job_id, below.cause_id
      FROM below JOIN job_dependencies edge ON edge.needs_id = below.job_id AND edge.met_at IS NULL
      WHERE edge.job_id = ANY(${locked}::uuid[])
    ), named AS (
      SELECT DISTINCT ON (below.job_id) below.job_id, below.cause_id,
        CASE WHEN cause.failure_code = ${dependencyFailed} THEN cause.failure_message
          ELSE 'Job ' || cause.id || ' had to complete before this one, and it is '
            || cause.status || coalesce(' (' || cause.failure_code || ')', '') || '.' END AS message
      FROM below JOIN jobs cause ON cause.id = below.cause_id
      ORDER BY below.job_id, below.cause_id
    ), told AS (
      SELECT job_id, cause_id,
        jsonb_build_object('class', 'dependency', 'code', ${dependencyFailed}::text, 'message', message) AS shown
      FROM named
    ), job AS (
      UPDATE jobs SET status = 'failed', phase = NULL, finished_at = now(), paused_at = NULL, avoid_server_id = NULL, ${takenFailure},
        event_sequence = event_sequence + 1
      FROM told WHERE jobs.id = told.job_id AND jobs.status = 'queued'
      RETURNING jobs.*, told.shown || jsonb_build_object('dependency', told.cause_id) AS data
    ), event AS (
      INSERT INTO job_events (job_id, sequence, type, attempt, data)
      SELECT id, event_sequence, 'failed', attempt, data FROM job
      RETURNING *
    )
    SELECT ${jobWithEventColumns} FROM job JOIN event ON event.job_id = job.id ORDER BY job.id`;
  return rows.map(jobWithEventFromRow);
}

/** The code of a job that failed because a job which it needs did not complete. */
export const dependencyFailed = "dependency-failed";

/**
 * Removes the notes of those of the ended jobs that no waiting job depends on any more. Each row is found by its id or by
 * the index of open dependencies: subqueries of one row, unlike `NOT EXISTS`, leave PostgreSQL no other way.
 * @returns the jobs whose notes were removed
 */
async function dropNotes(database: Statements, endedIds: string[]): Promise<string[]> {
  const rows = await database.$queryRaw<{ id: string }[]>`
    DELETE FROM ends_to_pass_on note WHERE note.job_id = ANY(${endedIds}::uuid[]) AND (
      SELECT true FROM job_dependencies edge
      WHERE edge.needs_id = note.job_id AND edge.met_at IS NULL
        AND ((SELECT dependent.status FROM jobs dependent WHERE dependent.id = edge.job_id) = 'queued'
          OR (SELECT ended.status FROM jobs ended WHERE ended.id = edge.needs_id) = 'completed')
      LIMIT 1) IS NULL
    RETURNING note.job_id AS id`;
  return rows.map(({ id }) => id);
}

/** The same for jobs whose rows are not locked yet: their status must not change meanwhile. */
export async function dropNotesOf(database: PrismaClient, endedIds: string[]): Promise<void> {
  if (endedIds.length === 0) return;
  await repeatConflicts(() =>
    database.$transaction(async (transaction) => {
      await transaction.$executeRaw`
        SELECT FROM jobs WHERE id = ANY(${endedIds}::uuid[]) ORDER BY id FOR NO KEY UPDATE`;
      await dropNotes(transaction, endedIds);
    }, transactionLimits),
  );
}

/** The oldest notes, at most `limit`; of these jobs only, if `ids` are given. */
async function listEndsToPassOn(
  database: PrismaClient,
  limit: number,
  { ids = null, except = [] }: { ids?: string[] | null; except?: string[] },
): Promise<string[]> {
  const rows = await database.$queryRaw<{ id: string }[]>`
    SELECT job_id AS id FROM ends_to_pass_on
    WHERE (${ids === null}::boolean OR job_id = ANY(${ids ?? []}::uuid[])) AND job_id <> ALL(${except}::uuid[])
    ORDER BY ended_at LIMIT ${limit}::int`;
  return rows.map(({ id }) => id);
}

/**
 * Passes on one end of which a note was left. A note about a job that is queued again is dropped.
 * @param whenLocked `SKIP LOCKED`: as far as other transactions hold no rows. `isLocked` = they hold all that is left.
 */
async function passOnNoted(
  database: PrismaClient,
  id: string,
  whenLocked: Prisma.Sql = Prisma.empty,
): Promise<PassedOn & { isLocked: boolean }> {
  const nothing = { released: [], failed: [] };
  return await repeatConflicts(() =>
    database.$transaction(async (transaction) => {
      if (whenLocked !== Prisma.empty)
        await transaction.$executeRaw`SELECT set_config('lock_timeout', ${String(otherLocksMs)}, true)`;
      const [job] = await transaction.$queryRaw<{ id: string; status: JobStatus }[]>`
        SELECT id, status FROM jobs WHERE id = ${id}::uuid FOR NO KEY UPDATE ${whenLocked}`;
      // The note went with the job, or the job is locked.
      if (job === undefined) return { ...nothing, isLocked: await isNoted(transaction, id) };
      const { status } = job;
      if (isTerminal(status)) {
        const ended = { id, status };
        return await passOnTo(transaction, ended, await lockDependents(transaction, ended, whenLocked));
      }
      await transaction.$executeRaw`DELETE FROM ends_to_pass_on WHERE job_id = ${id}::uuid`;
      return { ...nothing, isLocked: false };
    }, transactionLimits),
  );
}

async function isNoted(database: Statements, id: string): Promise<boolean> {
  const notes = await database.$queryRaw<unknown[]>`SELECT 1 FROM ends_to_pass_on WHERE job_id = ${id}::uuid`;
  return notes.length > 0;
}

/**
 * The sweeper's part. It waits for no row that another transaction holds, and an end that is refused delays no other end.
 */
export async function passOnEnds(
  database: PrismaClient,
  limit: number,
  except: string[],
): ReturnType<JobRuns["passOnEnds"]> {
  const passedOn: PassedOn = { released: [], failed: [] };
  const refused: { jobId: string; error: unknown }[] = [];
  const locked: string[] = [];
  const ids = await listEndsToPassOn(database, limit, { except });
  for (const id of ids) {
    try {
      const one = await passOnNoted(database, id, Prisma.sql`SKIP LOCKED`);
      take(one, passedOn);
      if (one.isLocked) locked.push(id);
    } catch (thrown) {
      const error = mapDatabaseError(thrown);
      const isAway = error instanceof StoreUnavailableError && error.fault === "unreachable";
      if (isAway && passedOn.released.length + passedOn.failed.length === 0) throw error;
      // What was passed on must be told. The next call throws if the database is still away.
      if (isAway) break;
      refused.push({ jobId: id, error });
    }
  }
  return { ...passedOn, refused, locked, isDone: ids.length === 0 };
}

function take(more: PassedOn, into: PassedOn): void {
  into.released.push(...more.released);
  into.failed.push(...more.failed);
}

/** Rounds for one ended job: 100,000 dependents. */
const roundsMax = 200;

/** Passes the ends of these jobs on at once and completely. The sweeper would come to them within a second. */
export async function passOnNow(database: PrismaClient, endedIds: string[]): Promise<PassedOn> {
  const passedOn: PassedOn = { released: [], failed: [] };
  let waiting = endedIds;
  for (let round = 0; round < roundsMax && waiting.length > 0; round += 1) {
    waiting = await listEndsToPassOn(database, waiting.length, { ids: waiting });
    const more: string[] = [];
    for (const id of waiting) {
      const one = await passOnNoted(database, id);
      take(one, passedOn);
      more.push(...one.failed.map(({ job }) => job.id));
    }
    waiting = [...waiting, ...more];
  }
  return passedOn;
}
