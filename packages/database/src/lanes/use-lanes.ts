import { type Lane } from "@genga/jobs";
import { LRUCache } from "lru-cache";
import { type PrismaClient } from "../generated/client.ts";
import { toStoredJson } from "../connection/stored-json.ts";

/** How many lanes a process remembers to have used lately. */
const rememberedMax = 10_000;

/** `last_used_at` is exact to this. A lane may be removed only when it was not used for much longer (`remove-lanes.ts`). */
export const noteEveryMs = 3_600_000;

/** The lanes in which jobs wait are read again after this time. */
const waitingMaxAgeMs = 1_000;

/** Lanes in which jobs wait, as they were read, with those that this process has used since. */
type WaitingLanes = Set<string>;

/**
 * Decides which lanes new jobs may wait in, and makes sure that these have rows.
 *
 * Jobs wait in at most about `lanesMax` lanes at the same time. A lane beyond that gets no jobs; they wait in the lane
 * `default`. Several processes that accept jobs at the same moment may exceed the number a little.
 *
 * The rows are written by a statement of its own before the insert of the jobs, so that no row of a lane that many
 * submissions use stays locked. A lane that this process used within the last hour costs nothing, unless its needs are
 * guessed.
 */
export class LaneRows {
  readonly #lanesMax: number;
  readonly #used = new LRUCache<string, true>({ max: rememberedMax, ttl: noteEveryMs });
  #waiting: { readAt: number; lanes: Promise<WaitingLanes> } | undefined;

  constructor({ lanesMax }: { lanesMax: number }) {
    this.#lanesMax = lanesMax;
  }

  /** @returns the names of those lanes in which jobs may wait */
  async use(database: PrismaClient, lanes: readonly Lane[]): Promise<ReadonlySet<string>> {
    if (lanes.length === 0) return new Set();
    const waiting = await this.#waitingLanes(database);
    const admitted = lanes.filter(({ name }) => {
      if (waiting.size < this.#lanesMax) waiting.add(name);
      return waiting.has(name);
    });
    await this.#write(database, admitted);
    return new Set(admitted.map(({ name }) => name));
  }

  async #write(database: PrismaClient, lanes: readonly Lane[]): Promise<void> {
    const unknown = lanes.filter(({ name, isGuessed = false }) => isGuessed || !this.#used.has(name));
    if (unknown.length === 0) return;
    await database.$executeRaw`
      INSERT INTO lanes (name, main_model, needs, is_guessed)
      SELECT name, "mainModel", needs, coalesce("isGuessed", false)
      FROM jsonb_to_recordset(${toStoredJson(unknown)}::jsonb) AS used(
        name text, "mainModel" text, needs jsonb, "isGuessed" boolean)
      ORDER BY name
      ON CONFLICT (name) DO UPDATE SET last_used_at = now(), is_guessed = lanes.is_guessed OR excluded.is_guessed
      WHERE excluded.is_guessed OR lanes.last_used_at < now() - ${noteEveryMs}::float8 * interval '1 millisecond'`;
    for (const { name } of unknown) this.#used.set(name, true);
  }

  #waitingLanes(database: PrismaClient): Promise<WaitingLanes> {
    const now = performance.now();
    if (this.#waiting !== undefined && now - this.#waiting.readAt < waitingMaxAgeMs)
      return this.#waiting.lanes;
    const lanes = readWaitingLanes(database, this.#lanesMax);
    this.#waiting = { readAt: now, lanes };
    lanes.catch(() => {
      if (this.#waiting?.lanes === lanes) this.#waiting = undefined;
    });
    return lanes;
  }
}

/** Goes from lane to lane in the index of queued jobs, so that it costs the same however many jobs wait in each. */
async function readWaitingLanes(database: PrismaClient, lanesMax: number): Promise<WaitingLanes> {
  const rows = await database.$queryRaw<{ lane: string }[]>`
    WITH RECURSIVE waiting AS (
      (SELECT lane FROM jobs WHERE status = 'queued' ORDER BY lane LIMIT 1)
      UNION ALL
      SELECT (SELECT jobs.lane FROM jobs WHERE status = 'queued' AND jobs.lane > waiting.lane ORDER BY jobs.lane LIMIT 1)
      FROM waiting WHERE waiting.lane IS NOT NULL
    )
    SELECT lane FROM waiting WHERE lane IS NOT NULL LIMIT ${Math.min(lanesMax, rememberedMax)}`;
  return new Set(rows.map(({ lane }) => lane));
}
