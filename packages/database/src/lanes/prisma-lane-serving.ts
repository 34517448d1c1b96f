import { defaultLane, type LaneFacts, type LaneMeasure, type LaneServing } from "@genga/jobs";
import { withMappedErrors } from "../connection/database-errors.ts";
import { toStoredJson } from "../connection/stored-json.ts";
import { Prisma, type PrismaClient } from "../generated/client.ts";

/** The weight of one new measurement; the earlier mean has the rest. */
const newWeight = 0.1;

/**
 * The mean `known` with `count` new measurements, whose mean is `added`. Each may be NULL: nothing was measured. It is rounded,
 * since a mean that comes closer and closer to nothing becomes too small for its column.
 */
function newMean(known: Prisma.Sql, added: Prisma.Sql, count: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`CASE WHEN ${count} = 0 THEN ${known} ELSE round(coalesce(
    ${known} + (${added} - ${known}) * (1 - power(1 - ${newWeight}::float8, ${count})), ${added})::numeric, 3)::float8 END`;
}

/** As `LaneClocks`. */
function clocksOf(lane: Prisma.Sql, runMs: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`coalesce((
    SELECT jsonb_object_agg(clock.priority, jsonb_build_object('claimedRank', clock.claimed_rank, 'base', clock.base,
      'unitMs', coalesce(clock.unit_ms, nullif(${runMs}, 0))))
    FROM lane_clocks clock WHERE clock.lane = ${lane}), '{}')`;
}

/**
 * What workers know and learn of lanes, in the table `lanes`; when the lane `default` was served has a table of its own.
 * Statements lock rows in the order of their names, that of `default` last.
 */
export class PrismaLaneServing implements LaneServing {
  readonly #database: PrismaClient;

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  readLanes(names: readonly string[]): Promise<LaneFacts[]> {
    return withMappedErrors(async () => {
      if (names.length === 0) return [];
      return await this.#database.$queryRaw<LaneFacts[]>`
        SELECT name, main_model AS "mainModel", run_ms::float8 AS "runMs", runs,
          coalesce(load_ms, (
            SELECT avg(alike.load_ms) FROM lanes alike
            WHERE alike.main_model = lanes.main_model AND alike.load_ms IS NOT NULL))::float8 AS "loadMs",
          last_served_at AS "lastServedAt", now() AS "readAt", paused_at AS "pausedAt",
          ${clocksOf(Prisma.sql`lanes.name`, Prisma.sql`lanes.run_ms`)} AS clocks
        FROM lanes WHERE name = ANY(${[...names]}::text[])
        UNION ALL
        SELECT ${defaultLane}, NULL, NULL, 0, NULL, last_served_at, now(), NULL, ${clocksOf(Prisma.sql`${defaultLane}`, Prisma.sql`NULL::real`)}
        FROM default_lane_service WHERE ${names.includes(defaultLane)}::boolean
        ORDER BY name`;
    });
  }

  addMeasures(measures: readonly LaneMeasure[]): Promise<void> {
    return withMappedErrors(async () => {
      if (measures.length === 0) return;
      await this.#database.$executeRaw`
        WITH given AS MATERIALIZED (
          SELECT * FROM jsonb_to_recordset(${toStoredJson([...measures])}::jsonb)
            AS given(lane text, "tenantId" uuid, runs int, "runMs" float8, loads int, "loadMs" float8)
        ), new AS (
          SELECT lane, sum(runs)::int AS runs, sum(runs * "runMs") / nullif(sum(runs), 0) AS "runMs",
            sum(loads)::int AS loads, sum(loads * "loadMs") / nullif(sum(loads), 0) AS "loadMs"
          FROM given GROUP BY lane
        ), held AS (
          SELECT name FROM lanes WHERE name IN (SELECT lane FROM new) ORDER BY name FOR NO KEY UPDATE
        ), lane AS (
          UPDATE lanes SET runs = lanes.runs + new.runs,
            run_ms = ${newMean(Prisma.sql`lanes.run_ms`, Prisma.sql`new."runMs"`, Prisma.sql`new.runs`)},
            load_ms = ${newMean(Prisma.sql`lanes.load_ms`, Prisma.sql`new."loadMs"`, Prisma.sql`new.loads`)}
          FROM new JOIN held ON held.name = new.lane WHERE lanes.name = held.name
          RETURNING lanes.name, lanes.run_ms
        ), clock AS (
          -- A clock that another transaction has locked gets its unit from a later measurement.
          UPDATE lane_clocks clock SET unit_ms = lane.run_ms FROM lane
          WHERE lane.name = clock.lane AND lane.run_ms > 0 AND (clock.lane, clock.priority) IN (
            SELECT unset.lane, unset.priority FROM lane_clocks unset JOIN lane ON lane.name = unset.lane
            WHERE unset.unit_ms IS NULL FOR NO KEY UPDATE OF unset SKIP LOCKED)
        )
        INSERT INTO tenant_runs AS known (lane, tenant_id, run_ms, runs)
        SELECT given.lane, given."tenantId", given."runMs", given.runs
        FROM given JOIN held ON held.name = given.lane WHERE given.runs > 0
        ORDER BY given.lane, given."tenantId"
        ON CONFLICT (lane, tenant_id) DO UPDATE SET runs = known.runs + excluded.runs,
          run_ms = ${newMean(Prisma.sql`known.run_ms`, Prisma.sql`excluded.run_ms`, Prisma.sql`excluded.runs`)}`;
    });
  }

  noteServed(names: readonly string[]): Promise<void> {
    return withMappedErrors(async () => {
      if (names.length === 0) return;
      await this.#database.$executeRaw`
        WITH held AS (
          SELECT name FROM lanes WHERE name = ANY(${[...names]}::text[]) ORDER BY name FOR NO KEY UPDATE
        )
        UPDATE lanes SET last_served_at = now() FROM held WHERE lanes.name = held.name`;
      if (names.includes(defaultLane))
        await this.#database.$executeRaw`UPDATE default_lane_service SET last_served_at = now()`;
    });
  }

  claimLane(name: string, seenServedAt: Date | null): Promise<Date | null> {
    return withMappedErrors(() => this.#setServedAt(name, seenServedAt, Prisma.sql`now()`));
  }

  giveUpLane(name: string, claimedAt: Date, seenServedAt: Date | null): Promise<void> {
    return withMappedErrors(async () => {
      await this.#setServedAt(name, claimedAt, Prisma.sql`${seenServedAt}::timestamptz`);
    });
  }

  /** Changes when the lane was served, if that is still `from`. @returns what it is now; `null` = it was not changed */
  async #setServedAt(name: string, from: Date | null, to: Prisma.Sql): Promise<Date | null> {
    const isAsSeen = Prisma.sql`last_served_at IS NOT DISTINCT FROM ${from}::timestamptz`;
    const change =
      name === defaultLane
        ? Prisma.sql`UPDATE default_lane_service SET last_served_at = ${to} WHERE ${isAsSeen}`
        : Prisma.sql`UPDATE lanes SET last_served_at = ${to} WHERE name = ${name} AND ${isAsSeen}`;
    const [changed] = await this.#database.$queryRaw<{ servedAt: Date | null }[]>`
      ${change} RETURNING last_served_at AS "servedAt"`;
    return changed?.servedAt ?? null;
  }
}
