import { isTerminal, type Job, type JobEvent, type WaitingChange } from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { findJob } from "../reading/find-jobs.ts";
import { changeHeld, isMeant, type HeldChange, type Meant } from "./change-held.ts";

/** Whether a queued job is paused, or is to be. */
type Wanted = "paused" | "resumed";

const changes = {
  // The job's ticket is stale from now on: a worker that holds it drops it.
  paused: {
    before: Prisma.sql`paused_at IS NULL`,
    assignments: Prisma.sql`paused_at = now(), enqueued_at = NULL, ticket_number = ticket_number + 1`,
    isStillWanted: Prisma.sql`held.batch_id IN (SELECT id FROM batch WHERE paused_at IS NOT NULL)`,
  },
  resumed: {
    before: Prisma.sql`paused_at IS NOT NULL`,
    assignments: Prisma.sql`paused_at = NULL`,
    isStillWanted: Prisma.sql`held.batch_id IN (SELECT id FROM batch WHERE paused_at IS NULL)`,
  },
} as const;

function changeOf(wanted: Wanted, of: Meant, by: string | undefined): HeldChange {
  const { before, assignments } = changes[wanted];
  const held = Prisma.sql`${isMeant(of)} AND status = 'queued' AND ${before}`;
  return { held, assignments, event: wanted, by };
}

/** Pauses or resumes a job, if it is queued. */
export async function pauseOrResumeJob(
  database: PrismaClient,
  id: string,
  wanted: Wanted,
  by: string | undefined,
): Promise<WaitingChange | "removed" | null> {
  if (!isUuid(id)) return null;
  for (;;) {
    const [changed] = await changeHeld(database, changeOf(wanted, { jobId: id }, by));
    if (changed !== undefined) return changed;
    const job = await findJob(database, id);
    if (job === null || job === "removed") return job;
    const isAsWanted = (job.pausedAt !== null) === (wanted === "paused");
    if (job.status === "processing" || isTerminal(job.status) || isAsWanted) return { job, event: null };
    // The job was requeued or retried between these statements, so they are tried again.
  }
}

/** A claim of one of the jobs waits for the statement that changes them. So many take some 0.1 s. */
const jobsAtOnce = 1_000;

/**
 * Pauses or resumes a batch: first the batch, so that jobs which are queued again meanwhile follow it (`batchesOf`), then
 * its queued jobs, in groups. If another request has changed the batch back in between, its jobs are left to that request.
 */
export async function pauseOrResumeBatch(
  database: PrismaClient,
  batchId: string,
  wanted: Wanted,
  by: string | undefined,
): Promise<{ job: Job; event: JobEvent }[]> {
  if (!isUuid(batchId)) return [];
  await (wanted === "paused"
    ? database.$executeRaw`
        UPDATE batches SET paused_at = now() WHERE id = ${batchId}::uuid AND paused_at IS NULL`
    : database.$executeRaw`
        UPDATE batches SET paused_at = NULL WHERE id = ${batchId}::uuid AND paused_at IS NOT NULL`);
  const { held } = changeOf(wanted, { batchId }, by);
  const { isStillWanted } = changes[wanted];
  const jobs = await database.$queryRaw<{ id: string }[]>`SELECT id FROM jobs WHERE ${held} ORDER BY id`;
  const changed: { job: Job; event: JobEvent }[] = [];
  for (let from = 0; from < jobs.length; from += jobsAtOnce) {
    const jobIds = jobs.slice(from, from + jobsAtOnce).map(({ id }) => id);
    changed.push(...(await changeHeld(database, { ...changeOf(wanted, { jobIds }, by), isStillWanted })));
  }
  return changed;
}
