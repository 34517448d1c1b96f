import { jobPriorities, type Job } from "../job/job.ts";
import { type Announcement, type JobAnnouncer } from "../ports/job-announcer.ts";
import { type TicketQueue } from "../ports/ticket-queue.ts";
import { announcementOf, isReadyAtOnce } from "../running/announcement.ts";

/** Tickets of the first trip to Redis after a pause: few, so that servers which wait begin while the others are added. */
const firstRoundMax = 32;
/** Tickets of each further trip: few enough that a job which comes after ten thousand others is not kept waiting for long. */
const roundMax = 1_000;
/** Jobs that may wait here for their tickets; the sweeper announces what is beyond them. */
const waitingMax = 100_000;

export interface TicketAnnouncerOptions {
  tickets: Pick<TicketQueue, "add">;
  announcer: Pick<JobAnnouncer, "markEnqueued" | "countFromBases">;
  logger: { warn(details: object, message: string): void };
}

interface Waiting {
  announcement: Announcement;
  isNew: boolean;
}

/**
 * Adds the tickets of jobs that are committed. Nobody waits for it: a client is answered when its jobs are stored. What
 * comes while one trip to Redis is under way goes with the next one. With Redis away nothing is lost, because the sweeper
 * announces the rows when it is back.
 */
export class TicketAnnouncer {
  readonly #options: TicketAnnouncerOptions;
  #waiting: Waiting[] = [];
  #rounds: Promise<void> | undefined;

  constructor(options: TicketAnnouncerOptions) {
    this.#options = options;
  }

  /**
   * Jobs that must wait are left to the sweeper.
   * @param options.areNew the jobs were accepted just now, so that no earlier ticket of theirs can exist
   */
  announce(jobs: readonly Job[], { areNew }: { areNew: boolean }): void {
    const ready = jobs.filter(isReadyAtOnce);
    if (ready.length === 0) return;
    const room = Math.max(waitingMax - this.#waiting.length, 0);
    for (const job of mostUrgentFirst(ready).slice(0, room)) {
      this.#waiting.push({ announcement: announcementOf(job), isNew: areNew });
    }
    if (ready.length > room)
      this.#leaveToSweeper(ready.length - room, "too many jobs wait for their tickets");
    this.#rounds ??= this.#run();
  }

  /** Resolves when every job that was given so far has its ticket, or was left to the sweeper. */
  async announced(): Promise<void> {
    await this.#rounds;
  }

  async #run(): Promise<void> {
    const { tickets, announcer } = this.#options;
    for (let isFirst = true; this.#waiting.length > 0; isFirst = false) {
      const { announcements, areNew } = this.#nextRound(isFirst ? firstRoundMax : roundMax);
      try {
        await tickets.add(await announcer.countFromBases(announcements), { areNew });
        await announcer.markEnqueued(announcements);
      } catch (error) {
        // What waits would meet the same, one time-out after the other.
        this.#leaveToSweeper(announcements.length + this.#waiting.length, error);
        this.#waiting = [];
      }
    }
    this.#rounds = undefined;
  }

  /** As many as go together: a trip is either for new jobs or for others. */
  #nextRound(max: number): { announcements: Announcement[]; areNew: boolean } {
    const areNew = this.#waiting[0]?.isNew ?? true;
    const other = this.#waiting.findIndex(({ isNew }) => isNew !== areNew);
    const count = Math.min(other < 0 ? this.#waiting.length : other, max);
    const round = this.#waiting.splice(0, count);
    return { announcements: round.map(({ announcement }) => announcement), areNew };
  }

  #leaveToSweeper(jobs: number, err: unknown): void {
    this.#options.logger.warn(
      { err, jobs },
      "accepted jobs could not be announced yet; the sweeper will do it",
    );
  }
}

/** In the order of the jobs within a priority, so that no server begins with a job while a more urgent one has no ticket yet. */
function mostUrgentFirst(jobs: readonly Job[]): Job[] {
  const urgency = ({ priority }: Job): number => jobPriorities.indexOf(priority);
  return [...jobs].sort((one, other) => urgency(one) - urgency(other));
}
