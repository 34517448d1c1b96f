import {
  type Actor,
  IllegalTransitionError,
  isTerminal,
  type JobStatus,
  type NewAuditEvent,
  type RemovedJob,
  StoreUnavailableError,
} from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { recordAuditEvent } from "../tenants/audit-events.ts";
import { Prisma, type PrismaClient } from "../generated/client.ts";
import { repeatConflicts } from "../connection/repeat-conflicts.ts";
import { keptFilesOf } from "./owned-files.ts";
import { notePromptsOfAbsentServers } from "./prompts-to-forget.ts";
import { fanOutBeforeRemoval } from "../webhooks/fan-out.ts";
import {
  removeUnusedBatches,
  removeUnusedGraphs,
  removeUploadsOfJobs,
  type NamedUpload,
} from "./unused-rows.ts";

/**
 * Tickets and files are removed again after this time, since the job's worker may still finish a ticket, or write a
 * file under an earlier lease.
 */
const pendingFor = "5 seconds";

/** Removing a few hundred jobs takes less than a second; a busy machine gets more time. */
const transactionLimits = { timeout: 15_000, maxWait: 5_000 };

interface LockedJob extends Omit<RemovedJob, "keptFiles"> {
  tenantId: string;
  status: JobStatus;
  batchId: string | null;
  workflowHash: string | null;
}

/**
 * Removes an ended job and leaves nothing of it but the tombstone, by which the API answers 410. The audit event says
 * who removed a job, but not which one; it has the same time as the tombstone.
 * @throws IllegalTransitionError for a job that has not ended
 */
export async function removeJob(
  database: PrismaClient,
  id: string,
  passOn: PassOn,
  by?: Actor,
): Promise<RemovedJob | "removed" | null> {
  if (!isUuid(id)) return null;
  for (let tries = 1; tries <= triesMax; tries += 1) {
    // It may be retried, and end again, between this and the lock.
    await passOn(database, [id]);
    const removed = await removeUnlessNoted(database, id, by);
    if (removed !== "noted") return removed;
  }
  throw new StoreUnavailableError(undefined, { fault: "busy", wasRefused: true });
}

/** Tells the jobs that depend on these of their ends (`passOnNow`); a removed job could not be told of any more. */
export type PassOn = (database: PrismaClient, endedIds: string[]) => Promise<unknown>;

const triesMax = 5;

/** `"noted"` = jobs that depend on it were not told of its end yet. */
async function removeUnlessNoted(
  database: PrismaClient,
  id: string,
  by: Actor | undefined,
): Promise<RemovedJob | "removed" | "noted" | null> {
  const remove = (): Promise<RemovedJob | "removed" | "noted" | null> =>
    database.$transaction(async (transaction) => {
      const [job] = await transaction.$queryRaw<LockedJob[]>`
      ${lockedColumns} WHERE job.id = ${id}::uuid FOR UPDATE OF job`;
      if (job === undefined) {
        return (await transaction.removedJob.findUnique({ where: { id } })) === null ? null : "removed";
      }
      if (!isTerminal(job.status)) throw new IllegalTransitionError(job.status, "removed");
      if (await hasNote(transaction, id)) return "noted";
      const [removed] = await removeLocked(transaction, [job]);
      const { tenantId } = job;
      if (by !== undefined) await recordAuditEvent(transaction, { by, action: "job-removed", tenantId });
      return removed ?? null;
    }, transactionLimits);
  return await repeatConflicts(remove);
}

async function hasNote(transaction: Prisma.TransactionClient, jobId: string): Promise<boolean> {
  return (await transaction.endToPassOn.findUnique({ where: { jobId } })) !== null;
}

/**
 * Removes, in one transaction, those of the jobs that have ended and that no other transaction has locked. Jobs whose end
 * was not passed on completely stay for the next pass.
 * @param record written with the removal, if any of the jobs is removed
 */
export async function removeEnded(
  database: PrismaClient,
  ids: string[],
  record?: NewAuditEvent,
): Promise<RemovedJob[]> {
  if (ids.length === 0) return [];
  const remove = (): Promise<RemovedJob[]> =>
    database.$transaction(async (transaction) => {
      const jobs = await transaction.$queryRaw<LockedJob[]>`
      ${lockedColumns} WHERE job.id = ANY(${ids}::uuid[]) AND job.finished_at IS NOT NULL
        AND NOT EXISTS (SELECT FROM ends_to_pass_on note WHERE note.job_id = job.id)
      ORDER BY job.id FOR UPDATE OF job SKIP LOCKED`;
      if (record !== undefined && jobs.length > 0) await recordAuditEvent(transaction, record);
      return await removeLocked(transaction, jobs);
    }, transactionLimits);
  return await repeatConflicts(remove);
}

const lockedColumns = Prisma.sql`
  SELECT job.id, job.tenant_id AS "tenantId", job.lane, job.attempt,
    job.ticket_number AS "ticketNumber", job.status, job.batch_id AS "batchId",
    asked.workflow_hash AS "workflowHash"
  FROM jobs job LEFT JOIN job_parameters asked ON asked.job_id = job.id`;

/**
 * Removes the rows of jobs, with their parameters, events, attempts, outputs and references to uploads. Their tickets
 * and files are recorded in the same transaction, so that none is forgotten if the process dies after it. Prompts that
 * a server may still have were recorded when their attempts ended (`prompts-to-forget.ts`). A graph, batch or upload is
 * removed with its last job.
 */
async function removeLocked(transaction: Prisma.TransactionClient, jobs: LockedJob[]): Promise<RemovedJob[]> {
  if (jobs.length === 0) return [];
  const ids = jobs.map(({ id }) => id);
  await fanOutBeforeRemoval(transaction, ids);
  const uploads = await transaction.$queryRaw<NamedUpload[]>`
    SELECT named.upload_id AS id, max(job.created_at)::text AS "namedAt"
    FROM job_uploads named JOIN jobs job ON job.id = named.job_id
    WHERE named.job_id = ANY(${ids}::uuid[]) GROUP BY named.upload_id`;
  await noteFilesOfInputs(transaction, ids);
  await noteKeptFiles(transaction, ids);
  await transaction.$executeRaw`
    WITH mark AS (
      INSERT INTO removed_jobs (id, tenant_id)
      SELECT * FROM unnest(${ids}::uuid[], ${jobs.map(({ tenantId }) => tenantId)}::uuid[])
    ), pending AS (
      INSERT INTO pending_removals (job_id, lane, attempt, ticket_number, due_at)
      SELECT id, lane, attempt, ticket_number, now() + ${pendingFor}::interval FROM jobs WHERE id = ANY(${ids}::uuid[])
    ), prompt AS (${notePromptsOfAbsentServers(ids)}
    )
    DELETE FROM jobs WHERE id = ANY(${ids}::uuid[])`;
  await removeUnusedBatches(
    transaction,
    jobs.flatMap(({ batchId }) => batchId ?? []),
  );
  await removeUnusedGraphs(
    transaction,
    jobs.flatMap(({ workflowHash }) => workflowHash ?? []),
  );
  await removeUploadsOfJobs(transaction, uploads);
  const kept = await transaction.$queryRaw<Pick<RemovedJob, "id" | "keptFiles">[]>`
    SELECT removed.id, ${keptFilesOf(Prisma.sql`removed.id`)} AS "keptFiles"
    FROM unnest(${ids}::uuid[]) AS removed(id)`;
  const keptOf = new Map(kept.map(({ id, keptFiles }) => [id, keptFiles]));
  return jobs.map(({ id, lane, attempt, ticketNumber }) => ({
    ...{ id, lane, attempt, ticketNumber },
    keptFiles: keptOf.get(id) ?? [],
  }));
}

/**
 * Files that these jobs own in folders of jobs that were removed before them: they go unless another job owns them, too. Those
 * of jobs that are still there, or go with these, are removed with them. Whoever removes an owner notes the file, so that of
 * owners who are removed at the same time the last one leaves a note that finds no owner.
 */
async function noteFilesOfInputs(transaction: Prisma.TransactionClient, ids: string[]): Promise<void> {
  await transaction.$executeRaw`
    INSERT INTO files_to_remove (storage_key, due_at)
    SELECT DISTINCT input.storage_key, now() FROM job_inputs input
    WHERE input.job_id = ANY(${ids}::uuid[]) AND input.storage_key IS NOT NULL
      AND NOT EXISTS (SELECT FROM jobs stored WHERE stored.id = split_part(input.storage_key, '/', 2)::uuid)
    ORDER BY input.storage_key
    ON CONFLICT (storage_key) DO UPDATE SET due_at = excluded.due_at`;
}

/**
 * Files of these jobs that others read: from now on they count as bytes of these (`retention.ts`). Rows that are locked
 * already are those of jobs which are being removed, too: nothing else locks a row whose file is recorded. To wait for
 * them could end in a deadlock.
 */
async function noteKeptFiles(transaction: Prisma.TransactionClient, ids: string[]): Promise<void> {
  await transaction.$executeRaw`
    UPDATE job_inputs SET is_source_removed = true
    FROM (
      SELECT job_id, name FROM job_inputs
      WHERE needs_id = ANY(${ids}::uuid[]) AND job_id <> ALL(${ids}::uuid[]) AND storage_key IS NOT NULL
      FOR NO KEY UPDATE SKIP LOCKED
    ) kept
    WHERE job_inputs.job_id = kept.job_id AND job_inputs.name = kept.name`;
}
