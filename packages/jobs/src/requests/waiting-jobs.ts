import { type Batch, type Job, type JobPriority } from "../job/job.ts";
import { type JobRequests, type WaitingChange } from "../ports/job-requests.ts";
import { type Signals } from "../ports/signals.ts";
import { type TicketQueue } from "../ports/ticket-queue.ts";
import { eventSignal } from "../running/attempt-recorder.ts";
import { announcementOf } from "../running/announcement.ts";
import { withLostAnswers } from "./lost-answer.ts";
import { present } from "./present.ts";
import { type TicketAnnouncer } from "./ticket-announcer.ts";

export interface WaitingJobsOptions {
  requests: JobRequests;
  tickets: Pick<TicketQueue, "remove">;
  announcer: TicketAnnouncer;
  signals: Signals;
  logger: { warn(details: object, message: string): void };
}

/**
 * Changes jobs that wait, and lets their tickets follow after the commit. A ticket that cannot be removed now is stale,
 * and the worker that takes it drops it; a ticket that cannot be added now is added by the sweeper.
 */
export class WaitingJobs {
  readonly #options: WaitingJobsOptions;

  constructor(options: WaitingJobsOptions) {
    this.#options = options;
  }

  /**
   * A queued job gets no server until it is resumed. Any other job is returned as it is.
   * @throws JobRemovedError
   */
  async pauseJob({ id }: Job, by?: string): Promise<Job> {
    const change = present(await withLostAnswers(() => this.#options.requests.pauseJob(id, by)), id);
    await this.#dropTickets(this.#publish([change]));
    return change.job;
  }

  /** @throws JobRemovedError */
  async resumeJob({ id }: Job, by?: string): Promise<Job> {
    const change = present(await withLostAnswers(() => this.#options.requests.resumeJob(id, by)), id);
    this.#announce(this.#publish([change]));
    return change.job;
  }

  /** Its running jobs go on; those that are queued, now or later, wait until the batch is resumed. */
  async pauseBatch({ id }: Batch, by?: string): Promise<void> {
    const changes = await withLostAnswers(() => this.#options.requests.pauseBatch(id, by));
    await this.#dropTickets(this.#publish(changes));
  }

  async resumeBatch({ id }: Batch, by?: string): Promise<void> {
    const changes = await withLostAnswers(() => this.#options.requests.resumeBatch(id, by));
    this.#announce(this.#publish(changes));
  }

  /**
   * A queued job goes to the end of its tenant's queue in the other band. Any other job is returned as it is.
   * @throws JobRemovedError
   */
  async changePriorityOfJob({ id }: Job, priority: JobPriority, by?: string): Promise<Job> {
    const change = present(
      await withLostAnswers(() => this.#options.requests.changePriorityOfJob(id, priority, by)),
      id,
    );
    await this.#replaceTickets(this.#publish([change]));
    return change.job;
  }

  /** Running jobs go on, and keep their priority. */
  async changePriorityOfBatch({ id }: Batch, priority: JobPriority, by?: string): Promise<void> {
    const changes = await withLostAnswers(() =>
      this.#options.requests.changePriorityOfBatch(id, priority, by),
    );
    await this.#replaceTickets(this.#publish(changes));
  }

  async #replaceTickets(jobs: Job[]): Promise<void> {
    await this.#dropTickets(jobs);
    this.#announce(jobs);
  }

  /** @returns the jobs that were changed */
  #publish(changes: WaitingChange[]): Job[] {
    return changes.flatMap(({ job, event }) => {
      if (event === null) return [];
      this.#options.signals.publish("job", eventSignal(event, job));
      return [job];
    });
  }

  /** The tickets that the jobs had before the change; they are stale. */
  async #dropTickets(jobs: Job[]): Promise<void> {
    const { tickets, logger } = this.#options;
    try {
      await tickets.remove(jobs.map((job) => announcementOf({ ...job, ticketNumber: job.ticketNumber - 1 })));
    } catch (error) {
      logger.warn({ error }, "stale tickets could not be removed; a worker that takes one drops it");
    }
  }

  /** Each ticket has a new number, so none of its id can exist. */
  #announce(jobs: Job[]): void {
    this.#options.announcer.announce(jobs, { areNew: true });
  }
}
