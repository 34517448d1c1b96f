import { type PrismaClient } from "../generated/client.ts";

export async function removeOldPositions(
  database: PrismaClient,
  kept: number,
  limit: number,
): Promise<number> {
  const [row] = await database.$queryRaw<{ removed: bigint }[]>`
    WITH removed AS (
      DELETE FROM event_positions WHERE position IN (
        SELECT position FROM event_positions
        WHERE position <= (SELECT position - ${BigInt(kept)}::bigint FROM event_feed)
        ORDER BY position LIMIT ${limit}::int)
      RETURNING position
    ), noted AS (
      UPDATE event_feed SET removed_up_to = greatest(removed_up_to, last.position)
      FROM (SELECT max(position) AS position FROM removed) last WHERE last.position IS NOT NULL
    )
    SELECT count(*) AS removed FROM removed`;
  return Number(row?.removed ?? 0);
}
