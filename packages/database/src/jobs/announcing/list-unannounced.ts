import { defaultLane, type Announcement } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { announcementColumns } from "./announcement-columns.ts";
import { bandOf } from "../ranks/waiting-band.ts";
import { isReady } from "../ready-jobs.ts";
import { runningRoomOf, type RunningLimit } from "../running/running-limit.ts";

export const isUnannounced = Prisma.sql`${isReady} AND job.enqueued_at IS NULL`;

/** The rows of the index `jobs_unannounced_idx`: tenant, lane, priority, rank. */
export const isReadyNow = Prisma.sql`${isUnannounced} AND job.run_at IS NULL`;
/** The rows of the index `jobs_due_idx` up to now: tenant, time. */
export const isDue = Prisma.sql`${isUnannounced} AND job.run_at <= now()`;

/**
 * Ready jobs without a ticket. What it reads depends on how many tenants and lanes have such jobs, and not on how many jobs
 * wait: jobs that must wait for others of their limited tenant are not read.
 */
export async function listUnannounced(
  database: PrismaClient,
  limit: number,
  running: RunningLimit,
): Promise<Announcement[]> {
  const ofLimited = await database.$queryRaw<Announcement[]>(unannouncedOfLimited(limit, running));
  const places = limit - ofLimited.length;
  if (running.jobsRunningMax !== null || places === 0) return ofLimited;
  return [...ofLimited, ...(await database.$queryRaw<Announcement[]>(unannouncedOfOthers(places)))];
}

/**
 * Of tenants without a limit: as many jobs from each tenant and lane that have some, the first of each, so that no
 * tenant's flood keeps the tickets of others waiting. Exported for the test of its plan.
 */
export function unannouncedOfOthers(limit: number): Prisma.Sql {
  const isLimited = (tenantId: Prisma.Sql): Prisma.Sql =>
    Prisma.sql`${tenantId} IN (SELECT own.tenant_id FROM tenant_limits own WHERE own.jobs_running_max IS NOT NULL)`;
  return Prisma.sql`
    WITH RECURSIVE queue AS (
      (SELECT job.tenant_id, job.lane FROM jobs job WHERE ${isReadyNow} ORDER BY job.tenant_id, job.lane LIMIT 1)
      UNION ALL
      SELECT next.* FROM queue CROSS JOIN LATERAL (
        (SELECT job.tenant_id, job.lane FROM jobs job
         WHERE ${isReadyNow} AND job.tenant_id = queue.tenant_id AND job.lane > queue.lane
           AND NOT ${isLimited(Prisma.sql`queue.tenant_id`)}
         ORDER BY job.lane LIMIT 1)
        UNION ALL
        (SELECT job.tenant_id, job.lane FROM jobs job WHERE ${isReadyNow} AND job.tenant_id > queue.tenant_id
         ORDER BY job.tenant_id, job.lane LIMIT 1)
        ORDER BY tenant_id, lane LIMIT 1
      ) next
    ), ready_queue AS MATERIALIZED (
      SELECT * FROM queue WHERE NOT ${isLimited(Prisma.sql`tenant_id`)} LIMIT ${limit}::int
    ), due_tenant AS (
      (SELECT job.tenant_id FROM jobs job WHERE ${isDue} ORDER BY job.tenant_id LIMIT 1)
      UNION ALL
      SELECT next.* FROM due_tenant CROSS JOIN LATERAL (
        SELECT job.tenant_id FROM jobs job WHERE ${isDue} AND job.tenant_id > due_tenant.tenant_id
        ORDER BY job.tenant_id LIMIT 1
      ) next
    )
    (SELECT ${announcementColumns} FROM ready_queue queue CROSS JOIN LATERAL (
      SELECT * FROM jobs job WHERE ${isReadyNow} AND job.tenant_id = queue.tenant_id AND job.lane = queue.lane
      ORDER BY job.priority, job.rank, job.id LIMIT (SELECT greatest(1, ${limit}::int / count(*)) FROM ready_queue)
    ) job)
    UNION ALL
    (SELECT ${announcementColumns} FROM due_tenant CROSS JOIN LATERAL (
      SELECT * FROM jobs job WHERE ${isDue} AND job.tenant_id = due_tenant.tenant_id
      ORDER BY job.run_at LIMIT ${limit}::int
    ) job WHERE NOT ${isLimited(Prisma.sql`due_tenant.tenant_id`)})
    LIMIT ${limit}::int`;
}

/** When the tickets of the lane `default` are all older, and no server serves it, they do not count. */
const freshTicketSeconds = 10;
/** Of one limited tenant: the most tickets in the lane `default`, and the most jobs whose time has come that one pass reads. */
const readMax = 1_000;

/**
 * For tenants whose running jobs are limited: in each lane the first jobs of the tenant, as many as it has places for which
 * the lane has no ticket. Lanes are counted apart, since each may be served by other servers, and ranks of different
 * lanes cannot be compared; so jobs that wait for their servers keep no other server empty. The claim holds the limit,
 * and tickets beyond it are held back. The jobs of the lane `default` differ in what they need, so tickets there that
 * nobody takes make room for others. Exported for the test of its plan.
 */
export function unannouncedOfLimited(limit: number, running: RunningLimit): Prisma.Sql {
  return Prisma.sql`
    WITH RECURSIVE room AS MATERIALIZED (
      SELECT tenant.id, ${runningRoomOf(Prisma.sql`tenant.id`, running)} AS places
      FROM tenants tenant LEFT JOIN tenant_limits own ON own.tenant_id = tenant.id
      WHERE coalesce(own.jobs_running_max, ${running.jobsRunningMax}::int) IS NOT NULL
    ), ready_lane AS (
      SELECT room.id, ${nextLane(Prisma.sql`room.id`, Prisma.sql`''`)} AS lane FROM room WHERE room.places > 0
      UNION ALL
      SELECT ready_lane.id, ${nextLane(Prisma.sql`ready_lane.id`, Prisma.sql`ready_lane.lane`)}
      FROM ready_lane WHERE ready_lane.lane IS NOT NULL
    ), due AS MATERIALIZED (
      SELECT job.* FROM room CROSS JOIN LATERAL (
        SELECT * FROM jobs job WHERE ${isDue} AND job.tenant_id = room.id ORDER BY job.run_at LIMIT ${readMax}::int
      ) job WHERE room.places > 0
    ), waiting AS MATERIALIZED (
      SELECT id, lane FROM ready_lane WHERE lane IS NOT NULL
      UNION
      SELECT tenant_id, lane FROM due
    ), open AS MATERIALIZED (
      SELECT room.id, waiting.lane,
        greatest(room.places - CASE WHEN announced."isStuck" THEN 0 ELSE announced.tickets END, 0) AS places
      FROM room JOIN waiting ON waiting.id = room.id
      CROSS JOIN LATERAL (
        SELECT count(*)::int AS tickets, waiting.lane = ${defaultLane} AND count(*) < ${readMax}::int
          AND max(ticket.enqueued_at) <= now() - ${freshTicketSeconds}::int * interval '1 second'
          AND NOT EXISTS (SELECT FROM jobs other WHERE other.status = 'processing' AND other.lane = waiting.lane) AS "isStuck"
        FROM (
          SELECT job.enqueued_at FROM jobs job WHERE job.status = 'queued' AND job.enqueued_at IS NOT NULL
            AND job.tenant_id = room.id AND job.lane = waiting.lane
          LIMIT CASE WHEN waiting.lane = ${defaultLane} THEN greatest(room.places, ${readMax}::int) ELSE room.places END
        ) ticket
      ) announced
    )
    SELECT ${announcementColumns} FROM open CROSS JOIN LATERAL (
      SELECT * FROM (
        (SELECT * FROM jobs job WHERE ${isReadyNow} AND job.tenant_id = open.id AND job.lane = open.lane AND job.aged = 0
         ORDER BY job.priority, job.rank, job.id LIMIT open.places)
        UNION ALL
        (SELECT * FROM jobs job WHERE ${isReadyNow} AND job.tenant_id = open.id AND job.lane = open.lane AND job.aged > 0
         ORDER BY job.rank, job.id LIMIT open.places)
        UNION ALL
        (SELECT * FROM due job WHERE job.tenant_id = open.id AND job.lane = open.lane)
      ) job ORDER BY ${band}, job.rank, job.id LIMIT open.places
    ) job
    WHERE open.places > 0
    ORDER BY ${band}, job.rank, job.id LIMIT ${limit}`;
}

const band = bandOf(Prisma.sql`job`);

/** The tenant's first lane after `lane` in which ready jobs have no ticket, however many these are. */
function nextLane(tenantId: Prisma.Sql, lane: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`(
    SELECT job.lane FROM jobs job WHERE ${isReadyNow} AND job.tenant_id = ${tenantId} AND job.lane > ${lane}
    ORDER BY job.lane LIMIT 1)`;
}
