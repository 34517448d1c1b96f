import {
  defaultLane,
  type GuessedJob,
  type GuessedLanes,
  type Lane,
  type TicketReference,
} from "@genga/jobs";
import { withMappedErrors } from "../../connection/database-errors.ts";
import { toStoredJson } from "../../connection/stored-json.ts";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { graphText } from "../job-rows.ts";
import { nextRanks, reservation, type RankBlock, type ReservedBlock } from "../ranks/reserve-ranks.ts";
import { type LaneRows } from "../../lanes/use-lanes.ts";

/** Longer than a submission takes from the note of its lanes to the insert of its jobs. */
const settledAfterSeconds = 60;

/** Lanes of jobs that were accepted while no server was known, and how their jobs come to other lanes. */
export class PrismaGuessedLanes implements GuessedLanes {
  readonly #database: PrismaClient;
  readonly #lanes: LaneRows;

  constructor(database: PrismaClient, lanes: LaneRows) {
    this.#database = database;
    this.#lanes = lanes;
  }

  listGuessed(limit: number): Promise<string[]> {
    return withMappedErrors(async () => {
      const rows = await this.#database.$queryRaw<{ name: string }[]>`
        SELECT name FROM lanes WHERE is_guessed ORDER BY name LIMIT ${limit}::int`;
      return rows.map(({ name }) => name);
    });
  }

  listJobsOf(lane: string, afterJobId: string | null, limit: number): Promise<GuessedJob[]> {
    const after = afterJobId === null ? Prisma.sql`true` : Prisma.sql`job.id > ${afterJobId}::uuid`;
    return withMappedErrors(async () => {
      return await this.#database.$queryRaw<GuessedJob[]>`
        SELECT job.id AS "jobId", job.tenant_id AS "tenantId", job.priority, job.requires,
          ${graphText} AS workflow, workflows.hash AS "workflowHash"
        FROM (
          SELECT * FROM jobs job WHERE job.status = 'queued' AND job.lane = ${lane} AND ${after}
          ORDER BY job.id LIMIT ${limit}::int
        ) job
        JOIN job_parameters asked ON asked.job_id = job.id
        JOIN workflows ON workflows.hash = asked.workflow_hash
        ORDER BY job.id`;
    });
  }

  moveJobs(
    from: string,
    jobs: readonly { job: GuessedJob; lane: Lane }[],
  ): Promise<(TicketReference & { lane: string })[]> {
    return withMappedErrors(async () => {
      if (jobs.length === 0) return [];
      const lanes = new Map(jobs.map(({ lane }) => [lane.name, lane]));
      const admitted = await this.#lanes.use(this.#database, [...lanes.values()]);
      const moved = jobs.map(({ job, lane }) => {
        return { ...job, lane: admitted.has(lane.name) ? lane.name : defaultLane };
      });
      return await this.#write(from, await this.#ranked(moved));
    });
  }

  settle(lane: string): Promise<void> {
    return withMappedErrors(async () => {
      await this.#database.$executeRaw`
        UPDATE lanes SET is_guessed = false
        WHERE name = ${lane} AND last_used_at < now() - ${settledAfterSeconds}::int * interval '1 second'`;
    });
  }

  /** Gives each job a rank behind all others of its tenant in its new lane. */
  async #ranked<Moved extends { tenantId: string; lane: string; priority: RankBlock["priority"] }>(
    jobs: Moved[],
  ): Promise<(Moved & { rank: number })[]> {
    const blocks = new Map<string, RankBlock>();
    for (const { tenantId, lane, priority } of jobs) {
      const key = `${tenantId} ${priority} ${lane}`;
      const block = blocks.get(key) ?? { tenantId, lane, priority, jobs: 0 };
      blocks.set(key, { ...block, jobs: block.jobs + 1 });
    }
    const reserved = await this.#database.$queryRaw<ReservedBlock[]>(
      reservation([...blocks.values()], Prisma.sql`true`),
    );
    const takeRank = new Map(
      [...new Set(jobs.map(({ tenantId }) => tenantId))].map((id) => {
        return [id, nextRanks(reserved.filter(({ tenantId }) => tenantId === id))];
      }),
    );
    return jobs.flatMap((job) => {
      const rank = takeRank.get(job.tenantId)?.(job);
      return rank === undefined ? [] : [{ ...job, rank }];
    });
  }

  async #write(
    from: string,
    moved: { jobId: string; lane: string; priority: string; rank: number }[],
  ): Promise<(TicketReference & { lane: string })[]> {
    const rows = moved.map(({ jobId, lane, priority, rank }) => ({ jobId, lane, priority, rank }));
    return await this.#database.$queryRaw<(TicketReference & { lane: string })[]>`
      WITH given AS (
        SELECT * FROM jsonb_to_recordset(${toStoredJson(rows)}::jsonb) AS asked(
          "jobId" uuid, lane text, priority job_priority, rank int)
      ), held AS (
        SELECT job.id, given.lane, given.rank, job.attempt + 1 AS attempt, job.ticket_number
        FROM jobs job JOIN given ON given."jobId" = job.id
        WHERE job.status = 'queued' AND job.lane = ${from} AND job.priority = given.priority
        ORDER BY job.id FOR NO KEY UPDATE OF job
      ), job AS (
        UPDATE jobs SET lane = held.lane, rank = held.rank, aged = 0, aged_at = NULL, enqueued_at = NULL,
          ticket_number = jobs.ticket_number + 1
        FROM held WHERE jobs.id = held.id
      )
      SELECT id AS "jobId", attempt, ticket_number AS "ticketNumber", ${from} AS lane FROM held`;
  }
}
