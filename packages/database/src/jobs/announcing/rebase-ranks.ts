import { type PrismaClient } from "../../generated/client.ts";

/** A quarter of what a ticket's priority can tell apart; below it there is nothing to gain. */
const rebasedFrom = 2 ** 16;

/**
 * Ranks only rise, and a ticket's priority tells 2^18 of them apart. Where a band is empty they start anew. A job whose
 * rank was reserved just before and is inserted just after keeps the high rank, so it waits longer than its due.
 */
export async function rebaseRanks(database: PrismaClient): Promise<void> {
  await database.$executeRaw`
    WITH idle AS (
      SELECT clock.priority FROM band_clocks clock
      WHERE clock.claimed_rank >= ${rebasedFrom}::int
        AND NOT EXISTS (SELECT FROM jobs WHERE jobs.status = 'queued' AND jobs.priority = clock.priority)
      FOR NO KEY UPDATE OF clock
    ), forgotten AS (
      DELETE FROM tenant_ranks USING idle WHERE tenant_ranks.priority = idle.priority
    )
    UPDATE band_clocks SET claimed_rank = 0 FROM idle WHERE band_clocks.priority = idle.priority`;
}
