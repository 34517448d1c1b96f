import { type EventScope } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../generated/client.ts";
import { inScope } from "./event-scopes.ts";

/** Whoever stands before the positions that were removed may have missed some, so there is always news for it. */
export async function hasNewsAfter(
  database: PrismaClient,
  scope: EventScope,
  after: bigint,
): Promise<boolean> {
  const [row] = await database.$queryRaw<{ hasNews: boolean }[]>`
    SELECT EXISTS (
      SELECT FROM event_positions place
      WHERE place.position > ${after}::bigint AND ${inScope(scope, Prisma.sql`place`)}
    ) OR EXISTS (
      SELECT FROM unsequenced_events note JOIN jobs job ON job.id = note.job_id
      WHERE ${inScope(scope, Prisma.sql`job`)}
    ) OR EXISTS (
      SELECT FROM event_feed feed WHERE ${after}::bigint NOT BETWEEN feed.removed_up_to AND feed.position
    ) AS "hasNews"`;
  return row?.hasNews ?? false;
}
