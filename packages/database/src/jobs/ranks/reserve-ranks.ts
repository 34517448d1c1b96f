import {
  rankInSpan,
  rankMax,
  rankTolerance,
  stepMax,
  stepMin,
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
    const { lastRank, span, step, unitMs } = block;
    const ofBandMs = (workMs.get(priority) ?? 0) + (step * unitMs) / unitsPerRun;
    workMs.set(priority, ofBandMs);
    return rankInSpan(lastRank, span, ofBandMs, unitMs);
  };
}

/** Jobs of one tenant that will follow each other in one lane and one band. */
export interface RankBlock extends TenantLane {
  tenantId: string;
  jobs: number;
}

export interface ReservedBlock extends RankBlock {
  lastRank: number;
  /** The ranks over which the block's jobs spread, up to `lastRank`. Both may be fractions. */
  span: number;
  /** How far each job moves the tenant back, in ranks. */
  step: number;
  /** What sixteen of these stand for. */
  unitMs: number;
}

/** The part of a queue's backlog that its clock has not passed: `waitingUnits`. */
const waitingUnits = Prisma.sql`(other.backlog_units
  * (other.last_rank + other.last_fraction - greatest(clock.claimed_rank, other.begun_rank))
  / (other.last_rank + other.last_fraction - other.begun_rank))`;

/** How long a run measured in `lane` (an alias of `lanes`, from an outer join) takes; NULL = none was measured. */
const measuredMs = (lane: Prisma.Sql): Prisma.Sql => Prisma.sql`nullif(${lane}.run_ms, 0)::float8`;

/** What `unitsPerRun` ranks stand for. */
function unitMs(clock: Prisma.Sql, lane: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`coalesce(${clock}.unit_ms::float8, ${measuredMs(lane)}, ${unmeasuredRunMs}::float8)`;
}

/** Work in milliseconds, each unit of its lanes weighted with what it stands for, in units of a `block`'s lane: `unitsOfLane`. */
function unitsOf(weighted: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`least(${waitingUnitsMax}::float8, ${weighted} / block."unitMs")`;
}

const step = Prisma.sql`least(${stepMax}::float8, greatest(${stepMin}::float8,
  ${unitsPerRun}::float8 * block."runMs" / block."unitMs" / block.weight))`;

/**
 * Extends the queues of the blocks, in the order of their keys. Returns a row for each, or none if `condition` does not
 * hold. A block that already has a clock takes its rank from there; a lane's first job makes its clock.
 */
export function reservation(blocks: RankBlock[], condition: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`
    WITH block AS MATERIALIZED (
      SELECT given.*, coalesce(own.weight, 1)::float8 AS weight, coalesce(clock.claimed_rank, 0) AS clock,
        ${measuredMs(Prisma.sql`measured`)} AS "laneRunMs",
        ${unitMs(Prisma.sql`clock`, Prisma.sql`measured`)} AS "unitMs",
        coalesce(nullif(runs.run_ms, 0)::float8, ${measuredMs(Prisma.sql`measured`)}, ${unmeasuredRunMs}::float8) AS "runMs"
      FROM jsonb_to_recordset(${toStoredJson(blocks)}::jsonb) AS given(
        "tenantId" uuid, lane text, priority job_priority, jobs int)
      LEFT JOIN tenant_limits own ON own.tenant_id = given."tenantId"
      LEFT JOIN lanes measured ON measured.name = given.lane
      LEFT JOIN tenant_runs runs ON runs.lane = given.lane AND runs.tenant_id = given."tenantId"
      LEFT JOIN lane_clocks clock ON clock.lane = given.lane AND clock.priority = given.priority
    ), new_clock AS (
      INSERT INTO lane_clocks (lane, priority, unit_ms)
      SELECT DISTINCT lane, priority, "laneRunMs" FROM block ORDER BY lane, priority
      ON CONFLICT DO NOTHING
    ), stepped_block AS MATERIALIZED (
      SELECT block.*, ${step} AS step, block.jobs * ${step} AS steps FROM block
    ), band AS (
      SELECT "tenantId", priority, sum(steps * "unitMs") AS weighted FROM stepped_block GROUP BY 1, 2
    ), waiting AS (
      SELECT band."tenantId", band.priority,
        sum(${waitingUnits} * ${unitMs(Prisma.sql`clock`, Prisma.sql`measured`)}) AS weighted
      FROM band
      JOIN tenant_queues other ON other.tenant_id = band."tenantId" AND other.priority = band.priority
      JOIN lane_clocks clock ON clock.lane = other.lane AND clock.priority = other.priority
      LEFT JOIN lanes measured ON measured.name = other.lane
      WHERE other.last_rank + other.last_fraction > greatest(clock.claimed_rank, other.begun_rank)
      GROUP BY 1, 2
    ), begin AS (
      SELECT block.*, greatest(steps, ${unitsOf(Prisma.sql`band.weighted`)}) AS span,
        least(${rankMax}::float8, clock + floor(
          ${unitsOf(Prisma.sql`coalesce(waiting.weighted, 0)`)} + ${rankTolerance}::float8))::int AS rank
      FROM stepped_block block
      JOIN band ON band."tenantId" = block."tenantId" AND band.priority = block.priority
      LEFT JOIN waiting ON waiting."tenantId" = block."tenantId" AND waiting.priority = block.priority
    ), queue AS (
      INSERT INTO tenant_queues AS own (tenant_id, priority, lane, last_rank, last_fraction, begun_rank, backlog_units)
      SELECT "tenantId", priority, lane, ${wholeRank(Prisma.sql`last`)}::int, last - ${wholeRank(Prisma.sql`last`)}, rank, steps
      FROM (SELECT begin.*, rank + span AS last FROM begin) begin WHERE ${condition}
      ORDER BY "tenantId", priority, lane
      ON CONFLICT (tenant_id, priority, lane) DO UPDATE SET
        last_rank = ${wholeRank(extended)}::int, last_fraction = ${extended} - ${wholeRank(extended)},
        begun_rank = CASE WHEN ${goesOn} THEN own.begun_rank ELSE excluded.begun_rank END,
        backlog_units = CASE WHEN ${goesOn} THEN own.backlog_units ELSE 0 END + excluded.backlog_units
      RETURNING tenant_id, priority, lane, last_rank + last_fraction AS last_rank
    )
    SELECT begin."tenantId", begin.lane, begin.priority, begin.jobs, begin.span, begin.step, begin."unitMs",
      queue.last_rank AS "lastRank"
    FROM begin JOIN queue ON queue.tenant_id = begin."tenantId" AND queue.lane = begin.lane
      AND queue.priority = begin.priority`;
}

/** Where the last job of a queue that exists stands now. */
const extended = Prisma.sql`(greatest(own.last_rank + own.last_fraction, excluded.begun_rank)
  + (excluded.last_rank + excluded.last_fraction - excluded.begun_rank))`;

/** The part of a place that `last_rank` can hold; `last_fraction` has the rest. */
const wholeRank = (place: Prisma.Sql): Prisma.Sql => Prisma.sql`least(round(${place}), ${rankMax}::float8)`;

const goesOn = Prisma.sql`own.last_rank + own.last_fraction > coalesce((
  SELECT clock.claimed_rank FROM lane_clocks clock WHERE clock.lane = own.lane AND clock.priority = own.priority), 0)`;
