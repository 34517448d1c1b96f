import { defaultLane, type Announcement, type TicketReference } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { announcementColumns } from "./announcement-columns.ts";
import { bandOf } from "../ranks/waiting-band.ts";
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

/** When the tickets of the lane `default` are all older, and no server serves it, they do not count. */
const freshTicketSeconds = 10;

/**
 * For tenants whose running jobs are limited: in each lane the first jobs of the tenant, as many as it has places for which
 * the lane has no ticket. Lanes are counted apart, since each may be served by other servers, and ranks of different
 * lanes cannot be compared; so jobs that wait for their servers keep no other server empty. The claim holds the limit,
 * and tickets beyond it are held back. The jobs of the lane `default` differ in what they need, so tickets there that
 * nobody takes make room for others.
 */
async function listUnannouncedOfLimited(
  database: PrismaClient,
  limit: number,
  running: RunningLimit,
): Promise<Announcement[]> {
  return await database.$queryRaw<Announcement[]>`
    WITH RECURSIVE room AS MATERIALIZED (
      SELECT tenant.id, ${runningRoomOf(Prisma.sql`tenant.id`, running)} AS places
      FROM tenants tenant LEFT JOIN tenant_limits own ON own.tenant_id = tenant.id
      WHERE coalesce(own.jobs_running_max, ${running.jobsRunningMax}::int) IS NOT NULL
    ), waiting AS (
      SELECT room.id, ${nextLane(Prisma.sql`room.id`, Prisma.sql`''`)} AS lane FROM room WHERE room.places > 0
      UNION ALL
      SELECT waiting.id, ${nextLane(Prisma.sql`waiting.id`, Prisma.sql`waiting.lane`)}
      FROM waiting WHERE waiting.lane IS NOT NULL
    ), announced AS MATERIALIZED (
      SELECT job.tenant_id, job.lane, count(*)::int AS tickets, job.lane = ${defaultLane}
          AND max(job.enqueued_at) <= now() - ${freshTicketSeconds}::int * interval '1 second'
          AND NOT EXISTS (SELECT FROM jobs other WHERE other.status = 'processing' AND other.lane = job.lane) AS "isStuck"
      FROM room JOIN jobs job ON job.tenant_id = room.id
      WHERE job.status = 'queued' AND job.enqueued_at IS NOT NULL
      GROUP BY job.tenant_id, job.lane
    ), open AS MATERIALIZED (
      SELECT room.id, waiting.lane,
        greatest(room.places - CASE WHEN announced."isStuck" THEN 0 ELSE coalesce(announced.tickets, 0) END, 0) AS places
      FROM room JOIN waiting ON waiting.id = room.id AND waiting.lane IS NOT NULL
      LEFT JOIN announced ON announced.tenant_id = room.id AND announced.lane = waiting.lane
    )
    SELECT ${announcementColumns} FROM open CROSS JOIN LATERAL (
      SELECT * FROM (
        (SELECT * FROM jobs job WHERE job.tenant_id = open.id AND job.lane = open.lane AND ${isUnannounced} AND job.aged = 0
         ORDER BY job.priority, job.rank LIMIT open.places)
        UNION ALL
        (SELECT * FROM jobs job WHERE job.tenant_id = open.id AND job.lane = open.lane AND ${isUnannounced} AND job.aged > 0)
      ) job ORDER BY ${band}, job.rank LIMIT open.places
    ) job
    ORDER BY ${band}, job.rank LIMIT ${limit}`;
}

const band = bandOf(Prisma.sql`job`);

/** The tenant's first lane after `lane` in which jobs are queued, however many these are. */
function nextLane(tenantId: Prisma.Sql, lane: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`(
    SELECT next.lane FROM jobs next WHERE next.status = 'queued' AND next.tenant_id = ${tenantId} AND next.lane > ${lane}
    ORDER BY next.lane LIMIT 1)`;
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
