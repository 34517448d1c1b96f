import { type Job, type RunningWork, type WaitingWork, type WorkBefore, type WorkOutlook } from "@genga/jobs";
import { withMappedErrors } from "../../connection/database-errors.ts";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { countedQueue } from "../../keeping/fold-counts.ts";
import { jobColumns, jobFromRow, type JobRow } from "../job-rows.ts";
import { isReady } from "../ready-jobs.ts";
import { findBefore } from "./find-before.ts";

/** More jobs do not run at the same time on the largest farms. */
const runningMax = 20_000;
/** Of a large batch, so many jobs are looked at. */
const lastMax = 1_000;

/** Reads what the farm has to do. */
export class PrismaWorkOutlook implements WorkOutlook {
  readonly #database: PrismaClient;

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  listRunning(): Promise<RunningWork[]> {
    return withMappedErrors(
      () => this.#database.$queryRaw<RunningWork[]>`
        SELECT job.id AS "jobId", job.batch_id AS "batchId", job.server_id AS "serverId", job.phase,
          job.remaining_low_ms AS "remainingLowMs", job.remaining_high_ms AS "remainingHighMs",
          (extract(epoch FROM now() - job.progress_at) * 1000)::float8 AS "toldAgoMs",
          coalesce(own.run_ms, lanes.run_ms)::float8 AS "runMs"
        FROM jobs job
        LEFT JOIN lanes ON lanes.name = job.lane
        LEFT JOIN tenant_runs own ON own.lane = job.lane AND own.tenant_id = job.tenant_id
        WHERE job.status = 'processing' AND job.server_id IS NOT NULL LIMIT ${runningMax}::int`,
    );
  }

  listWaiting(): Promise<WaitingWork[]> {
    return withMappedErrors(
      () => this.#database.$queryRaw<WaitingWork[]>`
        SELECT queued.lane, lanes.main_model AS "mainModel", sum(queued.jobs)::int AS jobs,
          sum(queued.jobs * coalesce(own.run_ms, lanes.run_ms))::float8 AS ms
        FROM (
          SELECT tenant_id, lane, sum(jobs) AS jobs FROM ${countedQueue} AS counted
          GROUP BY tenant_id, lane HAVING sum(jobs) > 0
        ) queued
        LEFT JOIN lanes ON lanes.name = queued.lane
        LEFT JOIN tenant_runs own ON own.lane = queued.lane AND own.tenant_id = queued.tenant_id
        GROUP BY queued.lane, lanes.main_model`,
    );
  }

  findBefore(job: Job, options: { byRanks: boolean }): Promise<WorkBefore> {
    return withMappedErrors(() => findBefore(this.#database, job, options));
  }

  findLastWaiting(tenantId: string, batchId: string): Promise<Job | null> {
    return withMappedErrors(async () => {
      const [row] = await this.#database.$queryRaw<JobRow[]>(lastWaitingStatement(tenantId, batchId));
      return row === undefined ? null : jobFromRow(row);
    });
  }
}

/**
 * Jobs that were submitted last are at the end of their tenant's queue. If the last ones of the batch have all begun, because
 * of their priority, any of those that wait will do. A job that could run now says more than one that is held. The tenant is
 * compared last, for all jobs of a batch have the same one: as a condition of each part it made PostgreSQL read the index of
 * all the tenant's jobs.
 * Exported for the test of its plan.
 */
export function lastWaitingStatement(tenantId: string, batchId: string): Prisma.Sql {
  const ofBatch = Prisma.sql`batch_id = ${batchId}::uuid`;
  return Prisma.sql`
    SELECT ${jobColumns} FROM (
      (SELECT * FROM jobs WHERE ${ofBatch} ORDER BY batch_index DESC LIMIT ${lastMax}::int)
      UNION ALL
      (SELECT * FROM jobs WHERE ${ofBatch} AND finished_at IS NULL AND status = 'queued' LIMIT ${lastMax}::int)
    ) job
    WHERE job.status = 'queued' AND job.tenant_id = ${tenantId}::uuid
    ORDER BY (${isReady}) DESC, job.priority DESC, job.batch_index DESC LIMIT 1`;
}
