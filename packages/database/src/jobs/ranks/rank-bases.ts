import { jobPriorities, type Announcement, type JobPriority } from "@genga/jobs";
import { type PrismaClient } from "../../generated/client.ts";

/** A base that was read is used for so long. Tickets that got an older one get their priority again later. */
const keptMs = 1_000;

/** Counts ranks of announcements from the bases of their lanes and bands, which move seldom. */
export class RankBases {
  readonly #database: PrismaClient;
  #bases = new Map<string, number>();
  #readAt = -Infinity;

  constructor(database: PrismaClient) {
    this.#database = database;
  }

  async count(announcements: Announcement[]): Promise<Announcement[]> {
    if (announcements.length === 0) return [];
    if (performance.now() - this.#readAt > keptMs) await this.#read();
    if (this.#bases.size === 0) return announcements;
    return announcements.map((ticket) => {
      const band = jobPriorities[Math.max(jobPriorities.indexOf(ticket.priority) - ticket.agedBands, 0)];
      const base = this.#bases.get(`${band} ${ticket.lane}`) ?? 0;
      return { ...ticket, rank: Math.max(ticket.rank - base, 0) };
    });
  }

  /** This process has moved bases: what it announces next has the new ones at once. */
  readAgain(): void {
    this.#readAt = -Infinity;
  }

  async #read(): Promise<void> {
    const readAt = performance.now();
    const rows = await this.#database.$queryRaw<{ lane: string; priority: JobPriority; base: number }[]>`
      SELECT lane, priority, base FROM lane_clocks WHERE base > 0`;
    this.#bases = new Map(rows.map(({ lane, priority, base }) => [`${priority} ${lane}`, base]));
    this.#readAt = readAt;
  }
}
