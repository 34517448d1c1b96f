import {
  type Assigned,
  type EventReader,
  type EventScope,
  type EventSequencer,
  type FeedPage,
  type JobEvent,
} from "@genga/jobs";
import { withMappedErrors } from "../connection/database-errors.ts";
import { type PrismaClient } from "../generated/client.ts";
import { assignPositions } from "./assign-positions.ts";
import { hasNewsAfter } from "./has-news-after.ts";
import { findLastPosition, listPlaced } from "./list-placed.ts";
import { listUnread } from "./list-unread.ts";
import { removeOldPositions } from "./remove-old-positions.ts";
import { ShrinkingLimit } from "./shrinking-limit.ts";

/** Positions of events across jobs. Each method is told by the file that does it; errors are mapped here, for all of them. */
export class PrismaEventStore implements EventReader, EventSequencer {
  readonly #database: PrismaClient;
  readonly #assigning = new ShrinkingLimit();

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  assignPositions(limit: number): Promise<Assigned> {
    return withMappedErrors(() =>
      this.#assigning.run(limit, async (atOnce) => {
        const assigned = await assignPositions(this.#database, atOnce);
        return { ...assigned, mayBeMore: assigned.events * 2 >= atOnce };
      }),
    );
  }

  removeOldPositions(kept: number, limit: number): Promise<number> {
    return withMappedErrors(() => removeOldPositions(this.#database, kept, limit));
  }

  findLastPosition(): Promise<bigint> {
    return withMappedErrors(() => findLastPosition(this.#database));
  }

  listPlaced(scope: EventScope | "all", after: bigint, limit: number): Promise<FeedPage> {
    return withMappedErrors(() => listPlaced(this.#database, scope, after, limit));
  }

  listUnread(
    scope: EventScope,
    of: { jobId: string; afterSequence: number; afterPosition: bigint },
    limit: number,
  ): Promise<JobEvent[]> {
    return withMappedErrors(() => listUnread(this.#database, scope, of, limit));
  }

  hasNewsAfter(scope: EventScope, after: bigint): Promise<boolean> {
    return withMappedErrors(() => hasNewsAfter(this.#database, scope, after));
  }
}
