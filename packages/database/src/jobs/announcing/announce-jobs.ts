import {
  type Announcement,
  type ClearedPage,
  type ClearingPosition,
  type TicketReference,
} from "@genga/jobs";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { announcementColumns } from "./announcement-columns.ts";
import { runningRoomOf, type RunningLimit } from "../running/running-limit.ts";
import { isUnannounced } from "./list-unannounced.ts";
import { isCurrent, ticketRows } from "./ticket-rows.ts";

/** All statements lock rows in the order of their ids, so that no two of them deadlock. */
export async function markEnqueued(database: PrismaClient, tickets: TicketReference[]): Promise<number> {
  if (tickets.length === 0) return 0;
  return await database.$executeRaw`
    WITH announced AS (
      SELECT job.id FROM jobs job JOIN ${ticketRows(tickets)} ON ticket."jobId" = job.id
      WHERE ${isUnannounced} AND ${isCurrent}
      ORDER BY job.id FOR NO KEY UPDATE OF job SKIP LOCKED
    )
    UPDATE jobs SET enqueued_at = now() FROM announced WHERE jobs.id = announced.id`;
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

/** A page is a transaction of its own, so what it cleared stays cleared when a later page takes too long. */
export async function clearEnqueued(
  database: PrismaClient,
  from: ClearingPosition | null,
  limit: number,
): Promise<ClearedPage> {
  const { addedUpTo, afterJobId } = from ?? { addedUpTo: await readTime(database), afterJobId: null };
  const { jobs, last } = await clearPage(database, { addedUpTo, afterJobId }, limit);
  if (jobs === limit) return { jobs, next: { addedUpTo, afterJobId: last } };
  // What is left now are rows that were locked.
  const [{ isLeft }] = await database.$queryRaw<[{ isLeft: boolean }]>`
    SELECT EXISTS (SELECT FROM jobs job WHERE ${addedBefore({ addedUpTo, afterJobId: null })}) AS "isLeft"`;
  return { jobs, next: isLeft ? { addedUpTo, afterJobId: null } : null };
}

/** To the precision of `enqueued_at`. */
async function readTime(database: PrismaClient): Promise<Date> {
  const [row] = await database.$queryRaw<[{ now: Date }]>`SELECT now()::timestamptz(3) AS now`;
  return row.now;
}

async function clearPage(
  database: PrismaClient,
  position: ClearingPosition,
  limit: number,
): Promise<{ jobs: number; last: string | null }> {
  const [page] = await database.$queryRaw<[{ jobs: number; last: string | null }]>`
    WITH announced AS (
      SELECT job.id FROM jobs job WHERE ${addedBefore(position)}
      ORDER BY job.id LIMIT ${limit}::int FOR NO KEY UPDATE SKIP LOCKED
    ), cleared AS (
      UPDATE jobs SET enqueued_at = NULL FROM announced WHERE jobs.id = announced.id RETURNING jobs.id
    )
    SELECT count(*)::int AS jobs, (SELECT id FROM cleared ORDER BY id DESC LIMIT 1) AS last FROM cleared`;
  return page;
}

/** Queued rows, in one named `job`, with a ticket from before `addedUpTo`. */
function addedBefore({ addedUpTo, afterJobId }: ClearingPosition): Prisma.Sql {
  const after = afterJobId === null ? Prisma.sql`true` : Prisma.sql`job.id > ${afterJobId}::uuid`;
  return Prisma.sql`
    job.status = 'queued' AND job.enqueued_at IS NOT NULL AND job.enqueued_at <= ${addedUpTo}::timestamptz AND ${after}`;
}
