import { isTerminal, type Job, type JobEvent, type JobPriority, type WaitingChange } from "@genga/jobs";
import { validate as isUuid } from "uuid";
import { toStoredJson } from "../../connection/stored-json.ts";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { jobColumns, jobWithEventFromRow, type JobWithEventRow } from "../job-rows.ts";
import { nextRanks, reservation, type RankBlock, type ReservedBlock } from "../ranks/reserve-ranks.ts";
import { findJob } from "../reading/find-jobs.ts";
import { changedBy } from "./changed-by.ts";
import { isMeant, type Meant } from "./change-held.ts";

interface Wanted {
  priority: JobPriority;
  /** The name of the key that requested it. */
  by: string | undefined;
}

interface Waiting {
  id: string;
  tenantId: string;
  lane: string;
}

/** Jobs that were requeued or retried meanwhile are changed by another round. */
const roundsMax = 5;

export async function changePriorityOfJob(
  database: PrismaClient,
  id: string,
  wanted: Wanted,
): Promise<WaitingChange | "removed" | null> {
  if (!isUuid(id)) return null;
  for (;;) {
    const [changed] = await changeWaiting(database, { jobId: id }, wanted);
    if (changed !== undefined) return changed;
    const job = await findJob(database, id);
    if (job === null || job === "removed") return job;
    if (job.status === "processing" || isTerminal(job.status) || job.priority === wanted.priority)
      return { job, event: null };
    // The job was requeued or retried between these statements, so they are tried again.
  }
}

export async function changePriorityOfBatch(
  database: PrismaClient,
  batchId: string,
  wanted: Wanted,
): Promise<WaitingChange[]> {
  if (!isUuid(batchId)) return [];
  const changes: WaitingChange[] = [];
  for (let round = 0; round < roundsMax; round += 1) {
    const more = await changeWaiting(database, { batchId }, wanted);
    if (more.length === 0) break;
    changes.push(...more);
  }
  return changes;
}

/**
 * Moves the queued ones of the jobs to the end of their tenant's queue in the other band, in their order. Their tickets
 * become stale; the jobs have none until they are announced again. Jobs that a worker claims meanwhile keep their priority.
 */
async function changeWaiting(
  database: PrismaClient,
  of: Meant,
  { priority, by }: Wanted,
): Promise<{ job: Job; event: JobEvent }[]> {
  const waiting = await database.$queryRaw<Waiting[]>`
    SELECT id, tenant_id AS "tenantId", lane FROM jobs
    WHERE ${isMeant(of)} AND status = 'queued' AND priority <> ${priority}::job_priority
    ORDER BY priority, rank, id`;
  if (waiting.length === 0) return [];
  const rows = await database.$queryRaw<JobWithEventRow[]>`
    WITH given AS (
      SELECT * FROM jsonb_to_recordset(${toStoredJson(await ranked(database, waiting, priority))}::jsonb) AS asked(
        id uuid, lane text, rank int)
    ), held AS (
      SELECT job.id, given.rank, job.priority AS before FROM jobs job JOIN given ON given.id = job.id
      WHERE job.status = 'queued' AND job.priority <> ${priority}::job_priority AND job.lane = given.lane
      ORDER BY job.id FOR NO KEY UPDATE OF job
    ), job AS (
      UPDATE jobs SET priority = ${priority}::job_priority, rank = held.rank, aged = 0, aged_at = NULL,
        enqueued_at = NULL, ticket_number = ticket_number + 1, event_sequence = event_sequence + 1
      FROM held WHERE jobs.id = held.id
      RETURNING jobs.*, clock_timestamp()::timestamptz(3) AS event_at,
        jsonb_build_object('from', held.before, 'to', jobs.priority) || ${changedBy(by)} AS event_data
    ), event AS (
      INSERT INTO job_events (job_id, sequence, type, attempt, data, created_at)
      SELECT id, event_sequence, 'priority_changed', attempt, event_data, event_at FROM job
    )
    SELECT ${jobColumns}, 'priority_changed' AS "eventType", job.event_data AS "eventData", job.event_at AS "eventAt"
    FROM job ORDER BY job.rank, job.id`;
  return rows.map(jobWithEventFromRow);
}

/** Gives each job a rank behind all others of its tenant in its lane and the band. */
async function ranked(
  database: PrismaClient,
  waiting: Waiting[],
  priority: JobPriority,
): Promise<{ id: string; lane: string; rank: number }[]> {
  const blocks = new Map<string, RankBlock>();
  for (const { tenantId, lane } of waiting) {
    const block = blocks.get(lane) ?? { tenantId, lane, priority, jobs: 0 };
    blocks.set(lane, { ...block, jobs: block.jobs + 1 });
  }
  const reserved = await database.$queryRaw<ReservedBlock[]>(
    reservation([...blocks.values()], Prisma.sql`true`),
  );
  const takeRank = nextRanks(reserved);
  return waiting.map(({ id, lane }) => ({ id, lane, rank: takeRank({ lane, priority }) }));
}
