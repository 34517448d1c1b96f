import { type Lane, type LaneStore } from "@genga/jobs";
import { meets, type HashedDefinitions } from "@genga/workflows";
import { LRUCache } from "lru-cache";

/** The facts about a server that decide which lanes it may serve. */
export interface JudgedServer {
  definitions: HashedDefinitions | null;
  labels: readonly string[];
}

/** How many lanes' needs, and how many verdicts, are remembered; the least recently used ones are forgotten first. */
const rememberedMax = { lanes: 10_000, verdicts: 50_000 } as const;
/** A lane without a row is looked up again after this time. */
const unknownForMs = 10_000;

/**
 * Which servers may serve which lanes. A verdict is worked out once for each lane, set of definitions and set of
 * labels; so it follows a server whose definitions or labels change.
 */
export class Eligibility {
  readonly #lanes: Pick<LaneStore, "findLanes">;
  /** `false` = the lane has no row. */
  readonly #needs = new LRUCache<string, Lane["needs"] | false>({ max: rememberedMax.lanes });
  readonly #verdicts = new LRUCache<string, boolean>({ max: rememberedMax.verdicts });

  constructor(lanes: Pick<LaneStore, "findLanes">) {
    this.#lanes = lanes;
  }

  /** Reads the needs of those lanes that are not known yet, with one query. @throws StoreUnavailableError */
  async learn(lanes: readonly string[]): Promise<void> {
    const unknown = lanes.filter((lane) => !this.#needs.has(lane));
    if (unknown.length === 0) return;
    for (const { name, needs } of await this.#lanes.findLanes(unknown)) this.#needs.set(name, needs);
    for (const lane of unknown) {
      if (!this.#needs.has(lane)) this.#needs.set(lane, false, { ttl: unknownForMs });
    }
  }

  /**
   * Whether the server can run the jobs of the lane, as far as node classes, models and labels show. `true` for a lane
   * whose needs are not known (`learn`), such as `default`: each of its jobs is judged by itself.
   */
  mayServe({ definitions, labels }: JudgedServer, lane: string): boolean {
    if (definitions === null) return false;
    const needs = this.#needs.get(lane);
    if (needs === undefined || needs === false) return true;
    const key = JSON.stringify([lane, definitions.hash, labels]);
    const known = this.#verdicts.get(key);
    if (known !== undefined) return known;
    const verdict = meets(needs, { definitions, labels });
    this.#verdicts.set(key, verdict);
    return verdict;
  }
}
