import {
  rankInSpan,
  stepMax,
  unitsPerRun,
  unmeasuredRunMs,
  waitingUnitsMax,
  type JobPriority,
} from "@genga/jobs";
import { Prisma, type PrismaClient } from "../../generated/client.ts";
import { hasRoom, type QueueLimit } from "../accepting/queue-room.ts";
import { toStoredJson } from "../../connection/stored-json.ts";

/** Where a job of a tenant waits. */
export interface TenantLane {
  lane: string;
  /** The band. */
  priority: JobPriority;
}

/**
 * Reserves ranks for a tenant's next jobs: `extendQueue` of packages/jobs/src/scheduling in SQL, for all lanes and
 * bands at once. A tenant's first job is served after at most one step of each other tenant, however many jobs the
 * others have queued.
 *
 * The reservation is a statement of its own before the insert, because these rows are changed by many submissions and
 * should not stay locked. A gap in the ranks after a failed insert does no harm.
 * @returns a function that returns the next rank in a lane and a band; `null` = the tenant's queue has no room for all
 * of the jobs, as far as is known
 */
export async function reserveRanks(
  database: PrismaClient,
  tenantId: string,
  jobs: readonly TenantLane[],
  limit: QueueLimit,
): Promise<((job: TenantLane) => number) | null> {
  const blocks = new Map<string, RankBlock>();
  for (const { lane, priority } of jobs) {
    const key = `${priority} ${lane}`;
    const block = blocks.get(key);
    if (block === undefined) blocks.set(key, { tenantId, lane, priority, jobs: 1 });
    else block.jobs += 1;
  }
  const reserved = await database.$queryRaw<ReservedBlock[]>(
    reservation([...blocks.values()], hasRoom(tenantId, jobs.length, limit)),
  );
  if (reserved.length < blocks.size) return null;
  return nextRanks(reserved);
}

/** Returns the rank of one tenant's next job at each call: of as many jobs as the blocks have, in the order of their turns. */
export function nextRanks(reserved: readonly ReservedBlock[]): (job: TenantLane) => number {
  const blocks = new Map(reserved.map((block) => [`${block.priority} ${block.lane}`, block]));
  const workMs = new Map<JobPriority, number>();
  return ({ lane, priority }) => {
    const block = blocks.get(`${priority} ${lane}`);
    if (block === undefined)
      throw new Error(`No rank was reserved in the lane ${lane} and the band ${priority}.`);
    const { lastRank, span, step, runMs } = block;
    const ofBandMs = (workMs.get(priority) ?? 0) + (step * runMs) / unitsPerRun;
    workMs.set(priority, ofBandMs);
    return rankInSpan(lastRank, span, ofBandMs, runMs);
  };
}

/** Jobs of one tenant that will follow each other in one lane and one band. */
export interface RankBlock extends TenantLane {
  tenantId: string;
  jobs: number;
}

export interface ReservedBlock extends RankBlock {
  lastRank: number;
  /** The ranks over which the block's jobs spread, up to `lastRank`. */
  span: number;
  /** How far each job moves the tenant back, in units of the lane. */
  step: number;
  /** What sixteen of these stand for. */
  runMs: number;
}

/** How long jobs of `lane` (an alias of `lanes`, from an outer join) usually run. */
const runMs = (lane: Prisma.Sql): Prisma.Sql =>
  Prisma.sql`coalesce(nullif(${lane}.run_ms, 0), ${unmeasuredRunMs}::float8)`;

/** The part of a queue's backlog that its clock has not passed: `waitingUnits`. */
const waitingUnits = Prisma.sql`(other.backlog_units::float8
  * (other.last_rank - greatest(clock.claimed_rank, other.begun_rank)) / (other.last_rank - other.begun_rank))`;

/** Work in milliseconds, each unit of its lanes weighted with their runs, in units of a `block`'s lane: `unitsOfLane`. */
function unitsOf(weighted: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`least(${waitingUnitsMax}::float8, floor(${weighted} / block."runMs"))::int`;
}

/**
 * Extends the queues of the blocks, in the order of their keys. Returns a row for each, or none if `condition` does not
 * hold. A block that already has a clock takes its rank from there; a lane's first job makes its clock.
 */
export function reservation(blocks: RankBlock[], condition: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`
    WITH block AS MATERIALIZED (
      SELECT given.*, greatest(1, least(${stepMax}::int, round(${unitsPerRun}::int / coalesce(own.weight, 1))::int)) AS step
      FROM jsonb_to_recordset(${toStoredJson(blocks)}::jsonb) AS given(
        "tenantId" uuid, lane text, priority job_priority, jobs int)
      LEFT JOIN tenant_limits own ON own.tenant_id = given."tenantId"
    ), new_clock AS (
      INSERT INTO lane_clocks (lane, priority) SELECT DISTINCT lane, priority FROM block ORDER BY lane, priority
      ON CONFLICT DO NOTHING
    ), measured_block AS MATERIALIZED (
      SELECT block.*, block.jobs * block.step AS steps, ${runMs(Prisma.sql`measured`)} AS "runMs"
      FROM block LEFT JOIN lanes measured ON measured.name = block.lane
    ), band AS (
      SELECT "tenantId", priority, sum(steps * "runMs") AS weighted FROM measured_block GROUP BY 1, 2
    ), waiting AS (
      SELECT band."tenantId", band.priority, sum(${waitingUnits} * ${runMs(Prisma.sql`measured`)}) AS weighted
      FROM band
      JOIN tenant_queues other ON other.tenant_id = band."tenantId" AND other.priority = band.priority
      JOIN lane_clocks clock ON clock.lane = other.lane AND clock.priority = other.priority
      LEFT JOIN lanes measured ON measured.name = other.lane
      WHERE other.last_rank > greatest(clock.claimed_rank, other.begun_rank)
      GROUP BY 1, 2
    ), begin AS (
      SELECT block.*, greatest(steps, ${unitsOf(Prisma.sql`band.weighted`)}) AS span,
        coalesce(clock.claimed_rank, 0) + ${unitsOf(Prisma.sql`coalesce(waiting.weighted, 0)`)} AS rank
      FROM measured_block block
      JOIN band ON band."tenantId" = block."tenantId" AND band.priority = block.priority
      LEFT JOIN lane_clocks clock ON clock.lane = block.lane AND clock.priority = block.priority
      LEFT JOIN waiting ON waiting."tenantId" = block."tenantId" AND waiting.priority = block.priority
    ), queue AS (
      INSERT INTO tenant_queues AS own (tenant_id, priority, lane, last_rank, begun_rank, backlog_units)
      SELECT "tenantId", priority, lane, rank + span, rank, steps FROM begin WHERE ${condition}
      ORDER BY "tenantId", priority, lane
      ON CONFLICT (tenant_id, priority, lane) DO UPDATE SET
        last_rank = greatest(own.last_rank, excluded.begun_rank) + excluded.last_rank - excluded.begun_rank,
        begun_rank = CASE WHEN ${goesOn} THEN own.begun_rank ELSE excluded.begun_rank END,
        backlog_units = CASE WHEN ${goesOn} THEN own.backlog_units ELSE 0 END + excluded.backlog_units
      RETURNING tenant_id, priority, lane, last_rank
    )
    SELECT begin."tenantId", begin.lane, begin.priority, begin.jobs, begin.span, begin.step, begin."runMs", queue.last_rank AS "lastRank"
    FROM begin JOIN queue ON queue.tenant_id = begin."tenantId" AND queue.lane = begin.lane
      AND queue.priority = begin.priority`;
}

const goesOn = Prisma.sql`own.last_rank > coalesce((
  SELECT clock.claimed_rank FROM lane_clocks clock WHERE clock.lane = own.lane AND clock.priority = own.priority), 0)`;
