import { rankWindow, type Announcement, type JobPriority, type RepricedPage } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { announcementColumns } from "../announcing/announcement-columns.ts";

/** The clock of an empty lane and band that has come this far begins at 0 again. */
const forgottenFrom = 2 ** 14;

/** Ranks of a lane and band are lowered once they have come this far, so that they stay within an `int`. */
const loweredFrom = 2 ** 30;

/** Between the two passes over the tickets: longer than any process uses a base that it has read. */
const secondPassMs = 10_000;

/** A unit that differs from the lane's usual run by more than this factor is made anew when it can be. */
const unitFactorMax = 4;

/**
 * Where no job waits in a lane and a band, its clock passes all ranks that were given, and no tenant is ahead of
 * another. If it has come far, or its unit has become too long or too short for the lane's jobs, and no job of the lane
 * runs, which may have to wait again with its rank, it is removed, and begins at 0 again. A job whose rank was reserved
 * just before that and which is inserted just after it keeps its rank, so it may wait longer than it should.
 */
export async function forgetIdleRanks(database: PrismaClient): Promise<void> {
  await database.$executeRaw`
    WITH idle AS (
      SELECT clock.lane, clock.priority, clock.claimed_rank, clock.unit_ms,
        EXISTS (SELECT FROM jobs WHERE jobs.status = 'processing' AND jobs.lane = clock.lane) AS "isRunning"
      FROM lane_clocks clock
      WHERE NOT EXISTS (
          SELECT FROM jobs WHERE jobs.status = 'queued' AND jobs.lane = clock.lane AND jobs.priority = clock.priority)
        AND NOT EXISTS (SELECT FROM jobs WHERE jobs.status = 'queued' AND jobs.lane = clock.lane AND jobs.aged > 0)
      ORDER BY clock.lane, clock.priority FOR UPDATE OF clock
    ), forgotten AS (
      DELETE FROM tenant_queues queue USING idle
      WHERE queue.lane = idle.lane AND queue.priority = idle.priority
      RETURNING queue.lane, queue.priority, queue.last_rank
    ), last AS (
      SELECT lane, priority, max(last_rank) AS rank FROM forgotten GROUP BY lane, priority
    ), judged AS (
      SELECT idle.lane, idle.priority, last.rank, NOT idle."isRunning" AND (
        greatest(idle.claimed_rank, last.rank) >= ${forgottenFrom}::int
        OR coalesce(greatest(idle.unit_ms::float8 / measured.run_ms, measured.run_ms::float8 / idle.unit_ms) > ${unitFactorMax}, false)
      ) AS "isOver"
      FROM idle LEFT JOIN last USING (lane, priority)
      LEFT JOIN lanes measured ON measured.name = idle.lane AND measured.run_ms > 0
    ), passed AS (
      UPDATE lane_clocks clock SET claimed_rank = judged.rank FROM judged
      WHERE clock.lane = judged.lane AND clock.priority = judged.priority
        AND NOT judged."isOver" AND clock.claimed_rank < judged.rank
    )
    DELETE FROM lane_clocks clock USING judged
    WHERE clock.lane = judged.lane AND clock.priority = judged.priority AND judged."isOver"`;
}

/**
 * Moves the bases of lanes and bands whose clock has come to the upper half of the window (`baseFor`), and notes that
 * their tickets need new priorities.
 */
export async function moveBases(database: PrismaClient): Promise<void> {
  const half = rankWindow / 2;
  await database.$executeRaw`
    WITH ahead AS (
      SELECT lane, priority FROM lane_clocks WHERE claimed_rank - base >= ${half}::int
      ORDER BY lane, priority FOR NO KEY UPDATE
    )
    UPDATE lane_clocks clock SET base = claimed_rank - claimed_rank % ${half}::int,
      repricing_after = 0, repricing_at = now(), repricing_passes = 2
    FROM ahead WHERE clock.lane = ahead.lane AND clock.priority = ahead.priority`;
  await lowerRanks(database);
}

/** All ranks of a lane and a band fall by the same number, so nothing changes its place. Rare: after 67 million jobs. */
async function lowerRanks(database: PrismaClient): Promise<void> {
  const [high] = await database.$queryRaw<{ lane: string; priority: JobPriority }[]>`
    SELECT lane, priority FROM lane_clocks WHERE base >= ${loweredFrom}::int LIMIT 1`;
  if (high === undefined) return;
  await database.$executeRaw`
    WITH high AS (
      SELECT lane, priority, base, claimed_rank FROM lane_clocks
      WHERE lane = ${high.lane} AND priority = ${high.priority}::job_priority FOR NO KEY UPDATE
    ), waiting AS (
      SELECT job.id FROM high JOIN jobs job ON job.lane = high.lane
      WHERE job.status = 'queued' AND ${waitsIn(Prisma.sql`high.priority`)}
      ORDER BY job.id FOR NO KEY UPDATE OF job
    ), job AS (
      UPDATE jobs SET rank = greatest(jobs.rank - high.base, 0) FROM waiting, high WHERE jobs.id = waiting.id
    ), queue AS (
      UPDATE tenant_queues queue SET last_rank = greatest(last_rank - high.base, 0),
        begun_rank = greatest(begun_rank, high.claimed_rank) - high.base,
        backlog_units = greatest(last_rank - greatest(begun_rank, high.claimed_rank), 0)
      FROM high WHERE queue.lane = high.lane AND queue.priority = high.priority
    )
    UPDATE lane_clocks clock SET claimed_rank = clock.claimed_rank - high.base, base = 0
    FROM high WHERE clock.lane = high.lane AND clock.priority = high.priority`;
}

/** Whether `job` waits in the band. */
function waitsIn(band: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`CASE
    WHEN job.aged = 0 THEN job.priority = ${band}
    WHEN job.aged = 1 AND job.priority = 'low' THEN ${band} = 'normal'
    ELSE ${band} = 'high'
  END`;
}

interface Repricing {
  lane: string;
  priority: JobPriority;
  base: number;
  after: number;
}

/**
 * The next tickets that need a new priority: about `limit` of one lane and band, lowest rank first. Tickets beyond the
 * window keep the priority that all such tickets have.
 */
export async function nextRepricing(database: PrismaClient, limit: number): Promise<RepricedPage | null> {
  const [repricing] = await database.$queryRaw<Repricing[]>`
    SELECT lane, priority, base, repricing_after AS after FROM lane_clocks
    WHERE repricing_after IS NOT NULL AND repricing_at <= now()
    ORDER BY repricing_at, lane, priority LIMIT 1`;
  if (repricing === undefined) return null;
  const { lane, priority, base, after } = repricing;
  const inRange = Prisma.sql`
    job.status = 'queued' AND job.enqueued_at IS NOT NULL AND job.lane = ${lane}
    AND job.rank > ${after}::int AND job.rank < ${base + rankWindow}::int`;
  const announcements = await database.$queryRaw<Announcement[]>`
    SELECT ${announcementColumns} FROM (
      (SELECT * FROM jobs job WHERE ${inRange} AND job.priority = ${priority}::job_priority AND job.aged = 0
       ORDER BY job.rank FETCH FIRST ${limit} ROWS WITH TIES)
      UNION ALL
      (SELECT * FROM jobs job WHERE ${inRange} AND job.aged > 0 AND ${waitsIn(Prisma.sql`${priority}::job_priority`)}
       ORDER BY job.rank FETCH FIRST ${limit} ROWS WITH TIES)
    ) job ORDER BY job.rank FETCH FIRST ${limit} ROWS WITH TIES`;
  // Of jobs with the same rank, the one whose ticket is put first is served first.
  announcements.sort((one, other) => one.rank - other.rank || (one.jobId < other.jobId ? -1 : 1));
  const last = announcements.length < limit ? null : (announcements.at(-1)?.rank ?? null);
  return {
    ...{ lane, priority, base, after, upTo: last },
    announcements: announcements.map((ticket) => ({ ...ticket, rank: Math.max(ticket.rank - base, 0) })),
  };
}

/** The tickets of the page have their new priorities. A base that has moved since begins anew. */
export async function noteRepriced(database: PrismaClient, page: RepricedPage): Promise<void> {
  const { lane, priority, base, after, upTo } = page;
  await database.$executeRaw`
    UPDATE lane_clocks SET
      repricing_after = CASE WHEN ${upTo}::int IS NOT NULL THEN ${upTo}::int WHEN repricing_passes > 1 THEN 0 END,
      repricing_passes = repricing_passes - CASE WHEN ${upTo}::int IS NULL THEN 1 ELSE 0 END,
      repricing_at = CASE WHEN ${upTo}::int IS NULL
        THEN now() + ${secondPassMs}::float8 * interval '1 millisecond' ELSE repricing_at END
    WHERE lane = ${lane} AND priority = ${priority}::job_priority AND base = ${base}::int AND repricing_after = ${after}::int`;
}
