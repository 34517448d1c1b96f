import { type Job, type WorkBefore } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { countedQueue } from "../../keeping/fold-counts.ts";
import { bandAfter, bandOf } from "../ranks/waiting-band.ts";
import { isReady } from "../ready-jobs.ts";

/** Other lanes that are looked into, and jobs that are read there. */
const lanesMax = 20;
const jobsMax = 200;
/** So many ranks are one unit of GPU time (docs/scheduling.md). */
const ranksPerUnit = 16;

/** One statement; what it reads is bounded. */
export async function findBefore(
  database: PrismaClient,
  job: Job,
  { byRanks }: { byRanks: boolean },
): Promise<WorkBefore> {
  const [row] = await database.$queryRaw<WorkBefore[]>(beforeStatement(job, { byRanks }));
  if (row === undefined) throw new Error("What stands before a job was read without a result.");
  return row;
}

/** Exported for the test of its plan. */
export function beforeStatement(
  job: Pick<Job, "id" | "tenantId" | "lane" | "priority" | "agedBands" | "rank">,
  { byRanks }: { byRanks: boolean },
): Prisma.Sql {
  const band = bandAfter(job.priority, job.agedBands);
  return Prisma.sql`
    SELECT coalesce(own.run_ms, lane.run_ms)::float8 AS "ownRunMs", lane.run_ms::float8 AS "laneRunMs",
      ${alike(job, band)} AS "alikeMs", ${byRanks ? ranked(job, band) : Prisma.sql`NULL::float8`} AS "rankedMs"
    FROM (SELECT 1) one
    LEFT JOIN lanes lane ON lane.name = ${job.lane}
    LEFT JOIN tenant_runs own ON own.lane = ${job.lane} AND own.tenant_id = ${job.tenantId}::uuid`;
}

/**
 * Jobs of one tenant in lanes of one model run in the order in which they were accepted, and ids carry their time. Only the
 * first ones of each lane are read: of a lane in which more come before this one, so many count.
 */
function alike(job: Pick<Job, "id" | "tenantId" | "lane">, band: string): Prisma.Sql {
  return Prisma.sql`coalesce((
    SELECT sum(earlier.jobs * coalesce(mine.run_ms, other.run_ms))::float8
    FROM (
      SELECT name, run_ms FROM lanes WHERE main_model = lane.main_model AND name <> lane.name AND name IN (
        SELECT counted.lane FROM ${countedQueue} AS counted WHERE counted.tenant_id = ${job.tenantId}::uuid)
      ORDER BY name LIMIT ${lanesMax}::int
    ) other
    LEFT JOIN tenant_runs mine ON mine.lane = other.name AND mine.tenant_id = ${job.tenantId}::uuid
    CROSS JOIN LATERAL (
      SELECT count(*) FILTER (WHERE ${isReady} AND (${bandOf(Prisma.sql`job`)} < ${band}::job_priority
        OR ${bandOf(Prisma.sql`job`)} = ${band}::job_priority AND job.id < ${job.id}::uuid)) AS jobs
      FROM (
        SELECT * FROM jobs WHERE status = 'queued' AND tenant_id = ${job.tenantId}::uuid AND lane = other.name
        ORDER BY tenant_id, lane, priority, rank LIMIT ${jobsMax}::int
      ) job
    ) earlier), 0)`;
}

/**
 * A tenant's GPU time in ranks before this job's, but no more than all of its waiting jobs take in this lane: ranks also
 * count what it has waiting in other lanes.
 */
function ranked(job: Pick<Job, "lane" | "rank">, band: string): Prisma.Sql {
  const lastBefore = Prisma.sql`CASE WHEN queue.priority = ${band}::job_priority
    THEN least(queue.last_rank, ${job.rank}::int) ELSE queue.last_rank END`;
  return Prisma.sql`(
    SELECT sum(least(tenant.ms, waiting.jobs * coalesce(runs.run_ms, lane.run_ms)))::float8
    FROM (
      SELECT queue.tenant_id, sum(greatest(${lastBefore} - clock.claimed_rank, 0) * coalesce(limits.weight, 1)
        * coalesce(clock.unit_ms, lane.run_ms) / ${ranksPerUnit}::int) AS ms
      FROM tenant_queues queue
      JOIN lane_clocks clock ON clock.lane = queue.lane AND clock.priority = queue.priority
      LEFT JOIN tenant_limits limits ON limits.tenant_id = queue.tenant_id
      WHERE queue.lane = ${job.lane} AND queue.priority <= ${band}::job_priority
      GROUP BY queue.tenant_id
    ) tenant
    JOIN (
      SELECT tenant_id, sum(jobs) AS jobs FROM ${countedQueue} AS counted WHERE counted.lane = ${job.lane} GROUP BY tenant_id
    ) waiting ON waiting.tenant_id = tenant.tenant_id
    LEFT JOIN tenant_runs runs ON runs.lane = ${job.lane} AND runs.tenant_id = tenant.tenant_id)`;
}
