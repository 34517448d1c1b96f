import { type Announcement, type JobAnnouncer, type TicketReference } from "@genga/jobs";
import { withMappedErrors } from "../../connection/database-errors.ts";
import { type PrismaClient } from "../../generated/client.ts";
import { type RunningLimit } from "../running/running-limit.ts";
import { clearEnqueued, holdBack, listAnnounced, listUnannounced, markEnqueued } from "./announce-jobs.ts";
import { rebaseRanks } from "./rebase-ranks.ts";

/** Records in PostgreSQL which jobs have a ticket. Errors of all statements are mapped here. */
export class PrismaJobAnnouncer implements JobAnnouncer {
  readonly #database: PrismaClient;
  readonly #limits: RunningLimit;

  constructor(options: { database: PrismaClient; limits: RunningLimit }) {
    this.#database = options.database;
    this.#limits = options.limits;
  }

  markEnqueued(tickets: TicketReference[]): Promise<void> {
    return withMappedErrors(() => markEnqueued(this.#database, tickets));
  }

  listUnannounced(limit: number): Promise<Announcement[]> {
    return withMappedErrors(() => listUnannounced(this.#database, limit, this.#limits));
  }

  listAnnounced(afterJobId: string | null, limit: number): Promise<Announcement[]> {
    return withMappedErrors(() => listAnnounced(this.#database, afterJobId, limit));
  }

  holdBack(tenantIds: string[]): Promise<(TicketReference & { lane: string })[]> {
    return withMappedErrors(() => holdBack(this.#database, tenantIds, this.#limits));
  }

  clearEnqueued(): Promise<number> {
    return withMappedErrors(() => clearEnqueued(this.#database));
  }

  rebaseRanks(): Promise<void> {
    return withMappedErrors(() => rebaseRanks(this.#database));
  }
}
