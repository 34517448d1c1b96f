import { defaultLane, type Announcement, type TicketReference } from "@genga/jobs";
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

/** A lane whose tickets are all older, and that no server serves, does not use up places of tenants. */
const freshTicketSeconds = 10;
/** A server serves a lane while it runs a job of it, and for this long after it took one. */
const servedForSeconds = 60;

/**
 * For tenants whose running jobs are limited: the first jobs of each queue, as many as the tenant has places for which
 * no ticket exists. A tenant's tickets in a lane that no server serves are stuck: they use up no places, and no more
 * are added to that lane, so that jobs which no server can run do not keep the tenant's other jobs from running. The jobs of
 * the lane `default` differ in what they need, so tickets are added there all the same.
 */
async function listUnannouncedOfLimited(
  database: PrismaClient,
  limit: number,
  running: RunningLimit,
): Promise<Announcement[]> {
  return await database.$queryRaw<Announcement[]>`
    WITH limited AS MATERIALIZED (
      SELECT tenant.id FROM tenants tenant LEFT JOIN tenant_limits own ON own.tenant_id = tenant.id
      WHERE coalesce(own.jobs_running_max, ${running.jobsRunningMax}::int) IS NOT NULL
    ), served AS MATERIALIZED (
      SELECT lane FROM jobs WHERE status = 'processing'
      UNION
      SELECT name FROM lanes WHERE last_served_at > now() - ${servedForSeconds}::int * interval '1 second'
    ), announced AS MATERIALIZED (
      SELECT job.tenant_id, job.lane, count(*)::int AS tickets,
        max(job.enqueued_at) <= now() - ${freshTicketSeconds}::int * interval '1 second'
          AND job.lane NOT IN (SELECT lane FROM served) AS "isStuck"
      FROM limited JOIN jobs job ON job.tenant_id = limited.id
      WHERE job.status = 'queued' AND job.enqueued_at IS NOT NULL
      GROUP BY job.tenant_id, job.lane
    ), room AS MATERIALIZED (
      SELECT limited.id, ${runningRoomOf(Prisma.sql`limited.id`, running)} - coalesce((
        SELECT sum(tickets)::int FROM announced WHERE announced.tenant_id = limited.id AND NOT "isStuck"), 0) AS places
      FROM limited
    )
    SELECT ${announcementColumns} FROM room CROSS JOIN LATERAL (
      SELECT * FROM jobs job WHERE job.tenant_id = room.id AND ${isUnannounced}
        AND job.lane NOT IN (
          SELECT lane FROM announced WHERE announced.tenant_id = room.id AND "isStuck" AND lane <> ${defaultLane})
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
