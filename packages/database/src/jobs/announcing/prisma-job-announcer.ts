import {
  type Announcement,
  type ClearedPage,
  type ClearingPosition,
  type JobAnnouncer,
  type RepricedPage,
  type TicketReference,
} from "@genga/jobs";
import { withMappedErrors } from "../../connection/database-errors.ts";
import { type PrismaClient } from "../../generated/client.ts";
import { type RunningLimit } from "../running/running-limit.ts";
import { clearEnqueued, holdBack, listAnnounced, markEnqueued } from "./announce-jobs.ts";
import { listUnannounced } from "./list-unannounced.ts";
import { ageJobs } from "../ranks/age-jobs.ts";
import { forgetIdleRanks, moveBases, nextRepricing, noteRepriced } from "../ranks/move-bases.ts";
import { RankBases } from "../ranks/rank-bases.ts";

/** Records in PostgreSQL which jobs have a ticket. Errors of all statements are mapped here. */
export class PrismaJobAnnouncer implements JobAnnouncer {
  readonly #database: PrismaClient;
  readonly #limits: RunningLimit;
  readonly #bases: RankBases;

  constructor(options: { database: PrismaClient; limits: RunningLimit }) {
    this.#database = options.database;
    this.#limits = options.limits;
    this.#bases = new RankBases(options.database);
  }

  markEnqueued(tickets: TicketReference[]): Promise<number> {
    return withMappedErrors(() => markEnqueued(this.#database, tickets));
  }

  listUnannounced(limit: number): Promise<Announcement[]> {
    return withMappedErrors(async () =>
      this.#bases.count(await listUnannounced(this.#database, limit, this.#limits)),
    );
  }

  listAnnounced(afterJobId: string | null, limit: number): Promise<Announcement[]> {
    return withMappedErrors(async () =>
      this.#bases.count(await listAnnounced(this.#database, afterJobId, limit)),
    );
  }

  holdBack(tenantIds: string[]): Promise<(TicketReference & { lane: string })[]> {
    return withMappedErrors(() => holdBack(this.#database, tenantIds, this.#limits));
  }

  clearEnqueued(from: ClearingPosition | null, limit: number): Promise<ClearedPage> {
    return withMappedErrors(() => clearEnqueued(this.#database, from, limit));
  }

  countFromBases(announcements: Announcement[]): Promise<Announcement[]> {
    return withMappedErrors(() => this.#bases.count(announcements));
  }

  ageJobs(ageingMs: number, limit: number): Promise<(TicketReference & { lane: string })[]> {
    return withMappedErrors(() => ageJobs(this.#database, ageingMs, limit));
  }

  forgetIdleRanks(): Promise<void> {
    return withMappedErrors(() => forgetIdleRanks(this.#database));
  }

  moveBases(): Promise<void> {
    return withMappedErrors(async () => {
      await moveBases(this.#database);
      this.#bases.readAgain();
    });
  }

  nextRepricing(limit: number): Promise<RepricedPage | null> {
    return withMappedErrors(() => nextRepricing(this.#database, limit));
  }

  noteRepriced(page: RepricedPage): Promise<void> {
    return withMappedErrors(() => noteRepriced(this.#database, page));
  }
}
