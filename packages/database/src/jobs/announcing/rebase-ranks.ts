import { type PrismaClient } from "../../generated/client.ts";

/** A quarter of the ranks that a ticket's priority can tell apart; below that, a rebase is not worth it. */
const rebasedFrom = 2 ** 16;

/**
 * Ranks only rise, but a ticket's priority has room for only 2^18 of them, so the ranks of an empty band begin at 0
 * again. A job whose rank was reserved just before that and which is inserted just after it keeps its high rank, so it
 * waits longer than it should.
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
