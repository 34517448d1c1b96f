import { type Lane } from "@genga/jobs";
import { LRUCache } from "lru-cache";
import { type PrismaClient } from "../generated/client.ts";
import { toStoredJson } from "../connection/stored-json.ts";

/** How many lanes a process remembers to have used lately. */
const rememberedMax = 10_000;

/** `last_used_at` is exact to this. A lane may be removed only when it was not used for much longer. */
const noteEveryMs = 3_600_000;

/**
 * Makes sure that the lanes of new jobs have rows. That is a statement of its own before the insert, so that no row of
 * a lane that many submissions use stays locked. A lane that this process used within the last hour costs nothing.
 */
export class LaneRows {
  readonly #used = new LRUCache<string, true>({ max: rememberedMax, ttl: noteEveryMs });

  async use(database: PrismaClient, lanes: readonly Lane[]): Promise<void> {
    const unknown = lanes.filter(({ name }) => !this.#used.has(name));
    if (unknown.length === 0) return;
    await database.$executeRaw`
      INSERT INTO lanes (name, main_model, needs)
      SELECT name, "mainModel", needs
      FROM jsonb_to_recordset(${toStoredJson(unknown)}::jsonb) AS used(name text, "mainModel" text, needs jsonb)
      ORDER BY name
      ON CONFLICT (name) DO UPDATE SET last_used_at = now()
      WHERE lanes.last_used_at < now() - ${noteEveryMs}::float8 * interval '1 millisecond'`;
    for (const { name } of unknown) this.#used.set(name, true);
  }
}
