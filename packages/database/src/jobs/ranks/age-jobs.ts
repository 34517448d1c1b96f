import { jobPriorities, type JobPriority, type TicketReference } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { toStoredJson } from "../../connection/stored-json.ts";
import { isCurrent } from "../announcing/ticket-rows.ts";
import { isReady } from "../ready-jobs.ts";
import { nextRanks, reservation, type RankBlock, type ReservedBlock } from "./reserve-ranks.ts";

interface Oldest extends TicketReference {
  tenantId: string;
  lane: string;
  /** The band that it waits in. */
  band: JobPriority;
  aged: number;
}

/**
 * Moves waiting jobs up a band: in each tenant's queue (a lane and a band) the oldest, if it has had a ticket for
 * `ageingMs`, and if none has moved up from that queue within that time (`jobThatAges`). Its rank is a new one in the
 * band above, so it takes its tenant's turn there. Its ticket becomes stale, and a new one is announced.
 * @returns the tickets that are stale now
 */
export async function ageJobs(
  database: PrismaClient,
  ageingMs: number,
  limit: number,
): Promise<(TicketReference & { lane: string })[]> {
  const oldest = await database.$queryRaw<Oldest[]>(oldestWaiting(ageingMs, limit));
  if (oldest.length === 0) return [];
  const blocks = oldest.map(({ tenantId, lane, band }): RankBlock => {
    return { tenantId, lane, priority: bandAbove(band), jobs: 1 };
  });
  const reserved = await database.$queryRaw<ReservedBlock[]>(reservation(blocks, Prisma.sql`true`));
  const tenantIds = new Set(reserved.map(({ tenantId }) => tenantId));
  const ranks = new Map(
    [...tenantIds].map((id) => [id, nextRanks(reserved.filter(({ tenantId }) => tenantId === id))]),
  );
  const moved = oldest.flatMap((job) => {
    const rank = ranks.get(job.tenantId)?.({ lane: job.lane, priority: bandAbove(job.band) });
    return rank === undefined ? [] : [{ ...job, rank }];
  });
  return await database.$queryRaw<(TicketReference & { lane: string })[]>`
    WITH ticket AS (
      SELECT * FROM jsonb_to_recordset(${toStoredJson(moved)}::jsonb) AS given(
        "jobId" uuid, attempt int, "ticketNumber" int, "tenantId" uuid, lane text, band job_priority, aged int, rank int)
    ), held AS (
      SELECT ticket.* FROM jobs job JOIN ticket ON ticket."jobId" = job.id
      WHERE ${isReady} AND ${isCurrent} AND job.aged = ticket.aged AND job.lane = ticket.lane
      ORDER BY job.id FOR NO KEY UPDATE OF job
    ), job AS (
      UPDATE jobs SET aged = jobs.aged + 1, aged_at = now(), rank = held.rank, ticket_number = jobs.ticket_number + 1,
        enqueued_at = NULL
      FROM held WHERE jobs.id = held."jobId"
    ), queue AS (
      UPDATE tenant_queues queue SET aged_at = now()
      FROM held WHERE queue.tenant_id = held."tenantId" AND queue.lane = held.lane AND queue.priority = held.band
    )
    SELECT "jobId", attempt, "ticketNumber", lane FROM held`;
}

/**
 * The first job of each queue by rank, which is the oldest: of those that have the band as their priority, and of those
 * that have aged into it. Reads two rows of an index for each queue, whatever waits in it. Exported for the test of its
 * plan.
 */
export function oldestWaiting(ageingMs: number, limit: number): Prisma.Sql {
  const ageing = Prisma.sql`${ageingMs}::float8 * interval '1 millisecond'`;
  const ofQueue = Prisma.sql`
    waiting.status = 'queued' AND waiting.enqueued_at IS NOT NULL AND waiting.tenant_id = queue.tenant_id
    AND waiting.lane = queue.lane`;
  return Prisma.sql`
    SELECT job.id AS "jobId", job.attempt + 1 AS attempt, job.ticket_number AS "ticketNumber", job.aged::int AS aged,
      queue.tenant_id AS "tenantId", queue.lane, queue.priority AS band
    FROM tenant_queues queue
    CROSS JOIN LATERAL (
      SELECT * FROM (
        (SELECT * FROM jobs waiting WHERE ${ofQueue} AND waiting.priority = queue.priority AND waiting.aged = 0
         ORDER BY waiting.rank LIMIT 1)
        UNION ALL
        (SELECT * FROM jobs waiting WHERE ${ofQueue} AND waiting.priority = 'low' AND waiting.aged = 1
           AND queue.priority = 'normal'
         ORDER BY waiting.rank LIMIT 1)
      ) first ORDER BY coalesce(first.aged_at, first.enqueued_at) LIMIT 1
    ) job
    WHERE queue.priority IN ('normal', 'low') AND coalesce(queue.aged_at <= now() - ${ageing}, true)
      AND coalesce(job.aged_at, job.enqueued_at) <= now() - ${ageing}
      AND ${isReady}
    LIMIT ${limit}`;
}

function bandAbove(band: JobPriority): JobPriority {
  return jobPriorities[jobPriorities.indexOf(band) - 1] ?? "high";
}
