import { type Announcement, type Candidate, type TicketReference } from "@genga/jobs";
import { Prisma, type PrismaClient } from "./generated/client.ts";
import { graphText } from "./job-rows.ts";
import { toStoredJson } from "./stored-json.ts";

/** A queued row as its ticket announces it, from a table or alias named `job`. */
const announcementColumns = Prisma.sql`
  job.id AS "jobId", job.attempt + 1 AS attempt, job.type, job.lane, job.priority, job.rank`;

/** Tickets as a table named `ticket`. */
function ticketRows(tickets: TicketReference[]): Prisma.Sql {
  const rows = tickets.map(({ jobId, attempt }) => ({ jobId, attempt }));
  return Prisma.sql`jsonb_to_recordset(${toStoredJson(rows)}::jsonb) AS ticket("jobId" uuid, attempt int)`;
}

/** Rows are locked in the order of their ids here as everywhere, so that two statements never wait for each other. */
export async function markEnqueued(database: PrismaClient, tickets: TicketReference[]): Promise<void> {
  if (tickets.length === 0) return;
  await database.$executeRaw`
    WITH announced AS (
      SELECT job.id FROM jobs job JOIN ${ticketRows(tickets)} ON ticket."jobId" = job.id
      WHERE job.status = 'queued' AND job.attempt = ticket.attempt - 1 AND job.enqueued_at IS NULL
      ORDER BY job.id FOR NO KEY UPDATE OF job
    )
    UPDATE jobs SET enqueued_at = now() FROM announced WHERE jobs.id = announced.id`;
}

export async function listUnannounced(database: PrismaClient, limit: number): Promise<Announcement[]> {
  return await database.$queryRaw<Announcement[]>`
    SELECT ${announcementColumns} FROM jobs job
    WHERE job.status = 'queued' AND job.enqueued_at IS NULL AND (job.run_at IS NULL OR job.run_at <= now())
    ORDER BY job.priority, job.rank LIMIT ${limit}`;
}

export async function listAnnounced(
  database: PrismaClient,
  afterJobId: string | null,
  limit: number,
): Promise<Announcement[]> {
  const after = afterJobId === null ? Prisma.sql`true` : Prisma.sql`job.id > ${afterJobId}::uuid`;
  return await database.$queryRaw<Announcement[]>`
    SELECT ${announcementColumns} FROM jobs job
    WHERE job.status = 'queued' AND job.enqueued_at IS NOT NULL AND ${after}
    ORDER BY job.id LIMIT ${limit}`;
}

export async function clearEnqueued(database: PrismaClient): Promise<number> {
  return await database.$executeRaw`
    WITH announced AS (
      SELECT job.id FROM jobs job
      WHERE job.status = 'queued' AND job.enqueued_at IS NOT NULL
      ORDER BY job.id FOR NO KEY UPDATE OF job
    )
    UPDATE jobs SET enqueued_at = NULL FROM announced WHERE jobs.id = announced.id`;
}

export async function readCandidates(
  database: PrismaClient,
  tickets: TicketReference[],
): Promise<Candidate[]> {
  if (tickets.length === 0) return [];
  return await database.$queryRaw<Candidate[]>`
    SELECT job.id AS "jobId", ticket.attempt, ${graphText} AS workflow, workflows.hash AS "workflowHash", job.lane,
      job.avoid_server_id AS "avoidServerId"
    FROM ${ticketRows(tickets)}
    JOIN jobs job ON job.id = ticket."jobId"
    JOIN job_parameters asked ON asked.job_id = job.id
    JOIN workflows ON workflows.hash = asked.workflow_hash
    WHERE job.status = 'queued' AND job.attempt = ticket.attempt - 1 AND (job.run_at IS NULL OR job.run_at <= now())
        AND (job.expires_at IS NULL OR job.expires_at > now())
    ORDER BY job.priority, job.rank, job.id`;
}
