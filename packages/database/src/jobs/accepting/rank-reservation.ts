import { type JobPriority } from "@genga/jobs";
import { type PrismaClient } from "../../generated/client.ts";
import { hasRoom, type QueueLimit } from "./queue-room.ts";

/**
 * Reserves ranks for a tenant's next jobs: in each priority band after its own last one, but not before the highest rank
 * that was claimed so far. So a tenant that comes late is served after at most one job of everybody else, whatever the
 * others have queued.
 *
 * Statements of their own, before the insert: these rows are hot, and a gap left by a failed insert is harmless.
 * @returns gives out the next rank of a band; `null` = the tenant's queue has no room for all of them, as far as is known
 */
export async function reserveRanks(
  database: PrismaClient,
  tenantId: string,
  counts: ReadonlyMap<JobPriority, number>,
  limit: QueueLimit,
): Promise<((priority: JobPriority) => number) | null> {
  const next = new Map<JobPriority, number>();
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  for (const [priority, count] of counts) {
    const lastRank = await reserveBlock(database, { tenantId, priority, count, total }, limit);
    if (lastRank === null) return null;
    next.set(priority, lastRank - count + 1);
  }
  return (priority) => {
    const rank = next.get(priority);
    if (rank === undefined) throw new Error(`No rank was reserved in the band ${priority}.`);
    next.set(priority, rank + 1);
    return rank;
  };
}

/** @returns the last rank of the block; `null` = there is no room for the `total` of which it is a part */
async function reserveBlock(
  database: PrismaClient,
  block: { tenantId: string; priority: JobPriority; count: number; total: number },
  limit: QueueLimit,
): Promise<number | null> {
  const { tenantId, priority, count, total } = block;
  const [reserved] = await database.$queryRaw<{ lastRank: number }[]>`
    INSERT INTO tenant_ranks AS own (tenant_id, priority, last_rank)
    SELECT ${tenantId}::uuid, clock.priority, clock.claimed_rank + ${count}::int
    FROM band_clocks clock
    WHERE clock.priority = ${priority}::job_priority AND ${hasRoom(tenantId, total, limit)}
    ON CONFLICT (tenant_id, priority) DO UPDATE
    SET last_rank = greatest(excluded.last_rank, own.last_rank + ${count}::int)
    RETURNING last_rank AS "lastRank"`;
  return reserved?.lastRank ?? null;
}
