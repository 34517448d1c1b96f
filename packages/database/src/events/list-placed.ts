import { CursorFromTheFutureError, CursorTooOldError, type EventScope, type FeedPage } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../generated/client.ts";
import { eventColumns, eventFromRow, type EventRow } from "../jobs/job-rows.ts";
import { inScope } from "./event-scopes.ts";

interface FeedRow {
  last: bigint;
  removedUpTo: bigint;
}

interface PlacedRow extends FeedRow, EventRow {
  position: bigint;
  tenantId: string;
  batchId: string | null;
}

export async function findLastPosition(database: PrismaClient): Promise<bigint> {
  const [feed] = await database.$queryRaw<{ position: bigint }[]>`SELECT position FROM event_feed`;
  return feed?.position ?? 0n;
}

/** One statement, so that events and the feed's bounds are of one moment. */
export async function listPlaced(
  database: PrismaClient,
  scope: EventScope | "all",
  after: bigint,
  limit: number,
): Promise<FeedPage> {
  const rows = await database.$queryRaw<(PlacedRow | (FeedRow & { position: null }))[]>`
    SELECT feed.position AS last, feed.removed_up_to AS "removedUpTo", placed.*
    FROM event_feed feed LEFT JOIN LATERAL (
      SELECT place.position, place.tenant_id AS "tenantId", place.batch_id AS "batchId", ${eventColumns}
      FROM event_positions place JOIN job_events event ON event.job_id = place.job_id AND event.sequence = place.sequence
      WHERE place.position > ${after}::bigint AND ${scope === "all" ? Prisma.sql`true` : inScope(scope, Prisma.sql`place`)}
      ORDER BY place.position LIMIT ${limit}::int
    ) placed ON true
    ORDER BY placed.position`;
  const [first] = rows;
  if (first === undefined) throw new Error("The table event_feed has lost its row.");
  const { last, removedUpTo } = first;
  if (after < removedUpTo) throw new CursorTooOldError(after, removedUpTo);
  if (after > last) throw new CursorFromTheFutureError(after, last);
  const events = rows.flatMap((row) =>
    row.position === null
      ? []
      : [
          {
            ...{ position: row.position, tenantId: row.tenantId, batchId: row.batchId },
            event: eventFromRow(row),
          },
        ],
  );
  return { events, upTo: events.length < limit ? last : (events.at(-1)?.position ?? after) };
}
