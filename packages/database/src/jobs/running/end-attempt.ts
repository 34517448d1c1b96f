import {
  StoreUnavailableError,
  type AttemptEnd,
  type AttemptResult,
  type Job,
  type JobEvent,
  type JobFailure,
  type JobLease,
  type TerminalStatus,
} from "@genga/jobs";
import { Prisma, type AttemptOutcome, type PrismaClient } from "../../generated/client.ts";
import { passOnEnd } from "../dependencies/pass-on-ends.ts";
import {
  eventColumns,
  eventFromRow,
  jobFromRow,
  jobWithEventFromRow,
  type EventRow,
  type JobWithEventRow,
} from "../job-rows.ts";
import { mapDatabaseError } from "../../connection/database-errors.ts";
import { Gatherer } from "../../connection/gatherer.ts";
import { type PlainStatements } from "../../connection/plain-statements.ts";
import { repeatConflicts } from "../../connection/repeat-conflicts.ts";
import { completeNeededJobs, withPassedOn } from "./end-needed-jobs.ts";
import { abandonedJobs } from "./find-sweeper-work.ts";
import {
  endAll,
  endLeases,
  outputsOf,
  statementName,
  type EndedRows,
  type LeaseEnd,
} from "./end-statement.ts";

const withoutDependents: EndedRows = { condition: Prisma.sql`NOT job.has_dependents`, locked: "skip" };
const whateverRow: EndedRows = { condition: Prisma.sql`true`, locked: "wait" };

/** An end with dependents takes a handful of statements. */
const transactionLimits = { timeout: 15_000, maxWait: 5_000 };

/** Bounds of a statement for several ends; an end with more outputs goes alone. */
const endsTogetherMax = 32;
const outputsTogetherMax = 100;
const entriesTogetherMax = 4 * 1024 * 1024;
/** A statement that takes so long, because it waits for the row of a batch for example, does not hold up later ends. */
const slowMs = 50;
const runsMax = 4;

/**
 * Writes outputs, status, attempt, event and the prompt to forget in one statement, fenced by the lease. For jobs with
 * dependents this is a transaction of several statements, the later of which see the dependents that were accepted while
 * the first one waited for a job's row.
 *
 * Ends that come while another end is being written are written together. If that fails for another reason than an
 * outage, each is written alone, so that one that cannot be stored harms no other. Nor does one wait for the job of another
 * one: a job that another transaction has locked is left to a transaction of its own.
 *
 * When the answer to a commit was lost, the caller does not know whether the statement took effect, and calls again.
 * The attempt's row keeps the lease number under which it ended. If the attempt has ended in the same way under the
 * caller's lease, that was the caller's own earlier statement, and what it recorded is returned again.
 */
export class AttemptEnds {
  readonly #database: PrismaClient;
  readonly #prepared: PlainStatements;
  readonly #together: Gatherer<LeaseEnd, AttemptResult | null>;
  /** Completions of jobs that others need. */
  readonly #needed: Gatherer<LeaseEnd, AttemptResult | null>;

  constructor(options: { database: PrismaClient; prepared: PlainStatements }) {
    this.#database = options.database;
    this.#prepared = options.prepared;
    const common = {
      fits: fitsBeside,
      isOfOne: (error: unknown) => !(mapDatabaseError(error) instanceof StoreUnavailableError),
      ...{ slowMs, runsMax },
    };
    this.#together = new Gatherer({ ...common, run: (ends) => this.#endTogether(ends) });
    this.#needed = new Gatherer({ ...common, run: (ends) => this.#completeNeeded(ends) });
  }

  async end(lease: JobLease, end: AttemptEnd, entry?: string): Promise<AttemptResult> {
    const ended = await this.#together.add({ lease, end, entry });
    const completed =
      ended === null && end.kind === "completed" ? await this.#needed.add({ lease, end, entry }) : null;
    return ended ?? completed ?? (await this.#endAlone({ lease, end, entry }));
  }

  /** `null` = the job has no dependents or is locked, or its lease is not held. */
  async #completeNeeded(ends: readonly LeaseEnd[]): Promise<(AttemptResult | null)[]> {
    const stores = { database: this.#database, prepared: this.#prepared };
    const { rows, passedOn } = await completeNeededJobs(stores, ends);
    const ended = new Map(rows.map((row) => [row.id, endedOf(row)]));
    return withPassedOn(
      ends.map(({ lease }) => ended.get(lease.jobId) ?? null),
      passedOn,
    );
  }

  /** `null` = the job has dependents or is locked, or its lease is not held. */
  async #endTogether(ends: readonly LeaseEnd[]): Promise<(AttemptResult | null)[]> {
    const rows = await this.#prepared.$queryPrepared<JobWithEventRow[]>(
      statementName("end-attempts", ends),
      endLeases(ends, withoutDependents),
    );
    const ended = new Map(rows.map((row) => [row.id, endedOf(row)]));
    return ends.map(({ lease }) => ended.get(lease.jobId) ?? null);
  }

  async #endAlone(given: LeaseEnd): Promise<AttemptResult> {
    const ended = await repeatConflicts(() =>
      this.#database.$transaction(async (transaction) => {
        const statement = endLeases([given], whateverRow);
        const [needed] = await transaction.$queryRaw<JobWithEventRow[]>(statement);
        if (needed === undefined) return null;
        const { status, ...result } = endedOf(needed);
        if (status === "queued") return { status, ...result };
        return { status, ...result, passedOn: await passOnEnd(transaction, { id: needed.id, status }) };
      }, transactionLimits),
    );
    return ended ?? (await findEarlierEnd(this.#database, given.lease, given.end));
  }
}

/** One statement ends a job once: another end of the same job waits for the next statement. */
function fitsBeside({ lease, end, entry = "" }: LeaseEnd, together: readonly LeaseEnd[]): boolean {
  const outputs = together.reduce((sum, each) => sum + outputsOf(each.end).length, outputsOf(end).length);
  const entries = together.reduce((sum, each) => sum + (each.entry?.length ?? 0), entry.length);
  return (
    together.length < endsTogetherMax &&
    entries <= entriesTogetherMax &&
    outputs <= outputsTogetherMax &&
    together.every((each) => each.lease.jobId !== lease.jobId)
  );
}

function endedOf(row: JobWithEventRow): Extract<AttemptResult, { held: true }> {
  const { job, event } = jobWithEventFromRow(row);
  return { held: true, status: endedAs(job), job, event };
}

/**
 * Requeues jobs that no worker watches: the lease has been expired for `graceMs`, and the server has had no owner for as long who
 * could adopt the job. The lease number rises, so that writes of the last owner have no effect if it comes back.
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
    ${abandonedJobs(graceMs)} ORDER BY job.id LIMIT ${abandonedAtOnce} FOR NO KEY UPDATE OF job SKIP LOCKED`;
  const end: AttemptEnd = { kind: "requeue", failure, delayMs: 0, charged: false, avoidServer: false };
  const rows = await database.$queryRaw<JobWithEventRow[]>(endAll(held, end, { leaseStep: 1 }));
  return rows.map(jobWithEventFromRow);
}

/** The sweeper runs every second, so the rest waits until then. */
const abandonedAtOnce = 500;

/** The caller's own earlier end of this attempt, if there is one; see `AttemptEnds`. */
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
