import { type Announcement, type TicketReference } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { announcementColumns } from "./announcement-columns.ts";
import { isReady } from "../ready-jobs.ts";
import { runningRoomOf, type RunningLimit } from "../running/running-limit.ts";
import { isCurrent, ticketRows } from "./ticket-rows.ts";

/** All statements lock rows in the order of their ids, so that no two of them deadlock. */
export async function markEnqueued(database: PrismaClient, tickets: TicketReference[]): Promise<void> {
  if (tickets.length === 0) return;
  await database.$executeRaw`
    WITH announced AS (
      SELECT job.id FROM jobs job JOIN ${ticketRows(tickets)} ON ticket."jobId" = job.id
      WHERE ${isUnannounced} AND ${isCurrent}
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
  const places = limit - ofLimited.length;
  const ofOthers = await database.$queryRaw<Announcement[]>`
    WITH waiting AS (
      (SELECT * FROM jobs job WHERE ${isUnannounced} AND job.run_at IS NULL AND ${isUnlimited(running)}
       ORDER BY job.priority, job.rank LIMIT ${places})
      UNION ALL
      (SELECT * FROM jobs job WHERE ${isUnannounced} AND job.run_at <= now() AND ${isUnlimited(running)}
       ORDER BY job.run_at LIMIT ${places})
    )
    SELECT ${announcementColumns} FROM waiting job ORDER BY job.priority, job.rank LIMIT ${places}`;
  return [...ofLimited, ...ofOthers];
}

const isUnannounced = Prisma.sql`${isReady} AND job.enqueued_at IS NULL`;

function isUnlimited({ jobsRunningMax }: RunningLimit): Prisma.Sql {
  return Prisma.sql`${jobsRunningMax === null}::boolean
    AND job.tenant_id NOT IN (SELECT own.tenant_id FROM tenant_limits own WHERE own.jobs_running_max IS NOT NULL)`;
}

/** A ticket that is older than this and still not claimed does not wait for one of its tenant's places. */
const freshTicketSeconds = 10;

/**
 * For tenants whose running jobs are limited: the first jobs of each queue, as many as the tenant has places for which
 * no ticket exists. Tickets older than `freshTicketSeconds` are not counted, so that jobs which no server can run do
 * not use up the places.
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
      SELECT * FROM jobs job WHERE job.tenant_id = room.id AND ${isUnannounced}
      ORDER BY job.priority, job.rank LIMIT greatest(room.places, 0)
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
    UPDATE jobs SET enqueued_at = NULL, ticket_number = ticket_number + 1 FROM announced WHERE jobs.id = announced.id
    RETURNING jobs.id AS "jobId", jobs.attempt + 1 AS attempt, jobs.ticket_number - 1 AS "ticketNumber", jobs.lane`;
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
