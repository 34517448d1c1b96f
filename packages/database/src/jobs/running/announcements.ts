import { type Announcement, type Candidate, type TicketReference } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { graphText } from "../job-rows.ts";
import { runningRoomOf, type RunningLimit } from "./running-limit.ts";
import { toStoredJson } from "../../connection/stored-json.ts";

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

export async function listUnannounced(
  database: PrismaClient,
  limit: number,
  running: RunningLimit,
): Promise<Announcement[]> {
  const ofLimited = await listUnannouncedOfLimited(database, limit, running);
  const ofOthers = await database.$queryRaw<Announcement[]>`
    SELECT ${announcementColumns} FROM jobs job
    WHERE job.status = 'queued' AND job.enqueued_at IS NULL AND (job.run_at IS NULL OR job.run_at <= now())
      AND ${running.jobsRunningMax === null}::boolean
      AND job.tenant_id NOT IN (SELECT own.tenant_id FROM tenant_limits own WHERE own.jobs_running_max IS NOT NULL)
    ORDER BY job.priority, job.rank LIMIT ${limit - ofLimited.length}`;
  return [...ofLimited, ...ofOthers];
}

/** A ticket that was added so long ago and is there still waits for something else than its tenant's places. */
const freshTicketSeconds = 10;

/**
 * Of tenants whose running jobs are limited: the first of each one's queue, as many as it has places without a ticket.
 * Tickets that were added a while ago do not count, so that jobs which no server can run do not keep the places.
 */
async function listUnannouncedOfLimited(
  database: PrismaClient,
  limit: number,
  running: RunningLimit,
): Promise<Announcement[]> {
  return await database.$queryRaw<Announcement[]>`
    WITH room AS MATERIALIZED (
      SELECT tenant.id, ${runningRoomOf(Prisma.sql`tenant.id`, running)} - (
        SELECT count(*)::int FROM jobs fresh WHERE fresh.status = 'queued' AND fresh.tenant_id = tenant.id
          AND fresh.enqueued_at > now() - ${freshTicketSeconds}::int * interval '1 second') AS places
      FROM tenants tenant LEFT JOIN tenant_limits own ON own.tenant_id = tenant.id
      WHERE coalesce(own.jobs_running_max, ${running.jobsRunningMax}::int) IS NOT NULL
    )
    SELECT ${announcementColumns} FROM room CROSS JOIN LATERAL (
      SELECT * FROM jobs
      WHERE tenant_id = room.id AND status = 'queued' AND enqueued_at IS NULL AND (run_at IS NULL OR run_at <= now())
      ORDER BY priority, rank LIMIT greatest(room.places, 0)
    ) job
    ORDER BY job.priority, job.rank LIMIT ${limit}`;
}

export async function holdBack(
  database: PrismaClient,
  tenantIds: string[],
  running: RunningLimit,
): Promise<(TicketReference & { lane: string })[]> {
  if (tenantIds.length === 0) return [];
  return await database.$queryRaw<(TicketReference & { lane: string })[]>`
    WITH full_tenant AS MATERIALIZED (
      SELECT tenant.id FROM unnest(${tenantIds}::uuid[]) AS tenant(id)
      WHERE ${runningRoomOf(Prisma.sql`tenant.id`, running)} = 0
    ), announced AS (
      SELECT job.id FROM jobs job JOIN full_tenant ON full_tenant.id = job.tenant_id
      WHERE job.status = 'queued' AND job.enqueued_at IS NOT NULL
      ORDER BY job.id LIMIT ${heldBackAtOnce} FOR NO KEY UPDATE OF job
    )
    UPDATE jobs SET enqueued_at = NULL FROM announced WHERE jobs.id = announced.id
    RETURNING jobs.id AS "jobId", jobs.attempt + 1 AS attempt, jobs.lane`;
}

const heldBackAtOnce = 10_000;

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
  running: RunningLimit,
): Promise<Candidate[]> {
  if (tickets.length === 0) return [];
  return await database.$queryRaw<Candidate[]>`
    SELECT job.id AS "jobId", ticket.attempt, ${graphText} AS workflow, workflows.hash AS "workflowHash", job.lane,
      job.avoid_server_id AS "avoidServerId", job.tenant_id AS "tenantId",
      ${runningRoomOf(Prisma.sql`job.tenant_id`, running)} AS "tenantRoom"
    FROM ${ticketRows(tickets)}
    JOIN jobs job ON job.id = ticket."jobId"
    JOIN job_parameters asked ON asked.job_id = job.id
    JOIN workflows ON workflows.hash = asked.workflow_hash
    WHERE job.status = 'queued' AND job.attempt = ticket.attempt - 1 AND (job.run_at IS NULL OR job.run_at <= now())
        AND (job.expires_at IS NULL OR job.expires_at > now())
    ORDER BY job.priority, job.rank, job.id`;
}
