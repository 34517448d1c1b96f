import { type Job, type JobsBefore } from "@genga/jobs";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { bandAfter, bandOf } from "../ranks/waiting-band.ts";
import { isReady } from "../ready-jobs.ts";

/** Counting stops here, so that it costs the same however many jobs wait. */
const countedMax = 1_000;

/** How many jobs are served before the job: those of more urgent bands, as jobs stand by their age, then lower ranks. */
export async function countJobsBefore(
  database: PrismaClient,
  tenantId: string,
  job: Job,
): Promise<JobsBefore> {
  if (job.status !== "queued") return { own: 0, others: 0, isMore: { own: false, all: false } };
  const [row] = await database.$queryRaw<{ own: number; ownSeen: number; all: number; allSeen: number }[]>(
    jobsBeforeStatement(tenantId, job),
  );
  if (row === undefined) throw new Error("Jobs were counted without a result.");
  const isMore = { own: row.ownSeen > countedMax, all: row.allSeen > countedMax };
  const own = Math.min(row.own, countedMax);
  return { own, others: Math.max(Math.min(row.all, countedMax) - own, 0), isMore };
}

/** Exported for the test of its plan. */
export function jobsBeforeStatement(
  tenantId: string,
  { lane, priority, agedBands, rank }: Pick<Job, "lane" | "priority" | "agedBands" | "rank">,
): Prisma.Sql {
  const band = bandAfter(priority, agedBands);
  const limit = Prisma.sql`LIMIT ${countedMax + 1}::int`;
  const counts = Prisma.sql`count(*)::int AS seen, (count(*) FILTER (WHERE ${isReady} AND job.aged = 0))::int AS ready`;
  // The first condition is a range of one index; with simpler ones PostgreSQL may prefer the index of the whole lane and
  // read the jobs of all other tenants. Jobs that must wait for something else are left out only after the limit: before
  // it, thousands of them might be read.
  const own = Prisma.sql`
    SELECT * FROM jobs job WHERE job.status = 'queued'
      AND (job.tenant_id, job.lane, job.priority, job.rank) >= (${tenantId}::uuid, ${lane}, 'urgent'::job_priority, 0)
      AND (job.tenant_id, job.lane, job.priority, job.rank)
        < (${tenantId}::uuid, ${lane}, ${band}::job_priority, ${rank}::int)
    ORDER BY job.tenant_id, job.lane, job.priority, job.rank ${limit}`;
  const together = Prisma.sql`
    SELECT * FROM jobs job WHERE job.status = 'queued' AND job.lane = ${lane}
      AND (job.priority, job.rank) < (${band}::job_priority, ${rank}::int)
    ORDER BY job.priority, job.rank ${limit}`;
  // Jobs that have aged stand in another band than that of their priority. They are few, and have an index of their own.
  const aged = Prisma.sql`
    SELECT * FROM jobs job WHERE job.status = 'queued' AND job.lane = ${lane} AND job.aged > 0 ${limit}`;
  const isBefore = Prisma.sql`
    ${isReady} AND (${bandOf(Prisma.sql`job`)}, job.rank) < (${band}::job_priority, ${rank}::int)`;
  return Prisma.sql`
    SELECT own.ready + aged.own AS own, greatest(own.seen, aged.seen) AS "ownSeen",
      together.ready + aged.all AS all, greatest(together.seen, aged.seen) AS "allSeen"
    FROM (SELECT ${counts} FROM (${own}) job) own, (SELECT ${counts} FROM (${together}) job) together, (
      SELECT count(*)::int AS seen, (count(*) FILTER (WHERE ${isBefore}))::int AS all,
        (count(*) FILTER (WHERE ${isBefore} AND job.tenant_id = ${tenantId}::uuid))::int AS own
      FROM (${aged}) job
    ) aged`;
}
