import { defaultLane } from "@genga/jobs";
import { repeatConflicts } from "../connection/repeat-conflicts.ts";
import { Prisma, type PrismaClient } from "../generated/client.ts";
import { noteEveryMs } from "./use-lanes.ts";

/**
 * Removes up to `limit` lanes that no job was queued into for `unusedMs`, and in which none waits or runs, with their clocks
 * and queues. Paused lanes stay.
 *
 * Who queues jobs into a lane notes its use first, at least every hour, and inserts or restarts the jobs soon after
 * that. So the time must be much longer than an hour. A note of the use and this removal lock the lane's row: either the
 * note comes first, and the lane stays; or it waits, and makes the lane anew (a submission), or finds it gone (a restart).
 * Whether jobs are left is decided by a statement after the lock.
 */
export async function removeUnusedLanes(
  database: PrismaClient,
  unusedMs: number,
  limit: number,
): Promise<number> {
  if (unusedMs < 3 * noteEveryMs) throw new Error(`Lanes may be in use that were noted ${unusedMs} ms ago.`);
  const isUnused = Prisma.sql`
    lane.last_used_at < now() - ${unusedMs}::float8 * interval '1 millisecond' AND lane.paused_at IS NULL
    AND NOT EXISTS (SELECT FROM jobs WHERE jobs.status = 'queued' AND jobs.lane = lane.name)
    AND NOT EXISTS (SELECT FROM jobs WHERE jobs.status = 'processing' AND jobs.lane = lane.name)`;
  return await repeatConflicts(() =>
    database.$transaction(async (transaction) => {
      const found = await transaction.$queryRaw<{ name: string }[]>`
        SELECT name FROM lanes lane WHERE ${isUnused} ORDER BY name LIMIT ${limit}::int FOR UPDATE SKIP LOCKED`;
      if (found.length === 0) return 0;
      const removed = await transaction.$queryRaw<{ name: string }[]>`
        DELETE FROM lanes lane WHERE name = ANY(${found.map(({ name }) => name)}::text[]) AND ${isUnused} RETURNING name`;
      const names = removed.map(({ name }) => name);
      // Clocks first, as where ranks of idle lanes begin anew.
      await transaction.$executeRaw`
        DELETE FROM lane_clocks WHERE (lane, priority) IN (
          SELECT lane, priority FROM lane_clocks WHERE lane = ANY(${names}::text[]) ORDER BY lane, priority FOR UPDATE)`;
      await transaction.$executeRaw`DELETE FROM tenant_queues WHERE lane = ANY(${names}::text[])`;
      return names.length;
    }),
  );
}

/**
 * Notes the use of those of the lanes that have a row. For jobs that are queued again: what a removed lane needed is not
 * known any more, so its jobs wait in the lane `default`.
 */
export async function useKnownLanes<Job extends { lane: string }>(
  database: PrismaClient,
  jobs: readonly Job[],
): Promise<Job[]> {
  const names = [...new Set(jobs.map(({ lane }) => lane))].filter((name) => name !== defaultLane);
  if (names.length === 0) return [...jobs];
  const rows = await database.$queryRaw<{ name: string }[]>`
    WITH held AS (
      SELECT name FROM lanes WHERE name = ANY(${names}::text[]) ORDER BY name FOR NO KEY UPDATE
    ), used AS (
      UPDATE lanes SET last_used_at = now() FROM held WHERE lanes.name = held.name
        AND last_used_at < now() - ${noteEveryMs}::float8 * interval '1 millisecond'
    )
    SELECT name FROM held`;
  const known = new Set(rows.map(({ name }) => name));
  return jobs.map((job) => (known.has(job.lane) ? job : { ...job, lane: defaultLane }));
}
