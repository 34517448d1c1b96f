import { defaultLane, type LaneFacts, type LaneMeasure, type LaneServing } from "@genga/jobs";
import { withMappedErrors } from "../connection/database-errors.ts";
import { toStoredJson } from "../connection/stored-json.ts";
import { Prisma, type PrismaClient } from "../generated/client.ts";

/** The weight of one new measurement; the earlier mean has the rest. */
const newWeight = 0.1;

/** As `LaneClocks`. */
function clocksOf(lane: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`coalesce((
    SELECT jsonb_object_agg(clock.priority, jsonb_build_object('claimedRank', clock.claimed_rank, 'base', clock.base))
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
          ${clocksOf(Prisma.sql`lanes.name`)} AS clocks
        FROM lanes WHERE name = ANY(${[...names]}::text[])
        UNION ALL
        SELECT ${defaultLane}, NULL, NULL, 0, NULL, last_served_at, now(), NULL, ${clocksOf(Prisma.sql`${defaultLane}`)}
        FROM default_lane_service WHERE ${names.includes(defaultLane)}::boolean
        ORDER BY name`;
    });
  }

  addMeasures(measures: readonly LaneMeasure[]): Promise<void> {
    return withMappedErrors(async () => {
      if (measures.length === 0) return;
      await this.#database.$executeRaw`
        WITH new AS (
          SELECT * FROM jsonb_to_recordset(${toStoredJson([...measures])}::jsonb)
            AS new(lane text, runs int, "runMs" float8, loads int, "loadMs" float8)
        ), held AS (
          SELECT name FROM lanes WHERE name IN (SELECT lane FROM new) ORDER BY name FOR NO KEY UPDATE
        )
        UPDATE lanes SET runs = lanes.runs + new.runs,
          run_ms = CASE WHEN new.runs = 0 THEN lanes.run_ms ELSE
            coalesce(lanes.run_ms + (new."runMs" - lanes.run_ms) * (1 - power(1 - ${newWeight}::float8, new.runs)), new."runMs")
          END,
          load_ms = CASE WHEN new.loads = 0 THEN lanes.load_ms ELSE
            coalesce(lanes.load_ms + (new."loadMs" - lanes.load_ms) * (1 - power(1 - ${newWeight}::float8, new.loads)), new."loadMs")
          END
        FROM new JOIN held ON held.name = new.lane WHERE lanes.name = held.name`;
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
