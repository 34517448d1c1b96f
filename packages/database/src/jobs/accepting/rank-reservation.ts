import { type JobPriority } from "@genga/jobs";
import { type PrismaClient } from "../../generated/client.ts";
import { hasRoom, type QueueLimit } from "./queue-room.ts";

/**
 * Reserves ranks for a tenant's next jobs. In each priority band they follow the tenant's last rank, but also the
 * highest rank that was claimed so far. So a tenant's first job is served after at most one job of each other tenant,
 * however many jobs the others have queued.
 *
 * The reservation is a statement of its own before the insert, because these rows are changed by many submissions and
 * should not stay locked. A gap in the ranks after a failed insert does no harm.
 * @returns a function that returns the next rank of a band; `null` = the tenant's queue has no room for all of the
 * jobs, as far as is known
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

/** @returns the last rank of the block; `null` = there is no room for `total` jobs, of which the block is a part */
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
