import {
  eventSignal,
  type JobAnnouncer,
  type JobRuns,
  type ServerStore,
  type Signals,
  type TicketQueue,
  TicketsUnavailableError,
} from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { type OutageGuard } from "../timing/outage-guard.ts";

export interface SweeperOptions {
  ownerId: string;
  runs: Pick<JobRuns, "requeueAbandoned" | "expireQueued">;
  announcer: JobAnnouncer;
  servers: ServerStore;
  tickets: TicketQueue;
  signals: Signals;
  guard: OutageGuard;
  leaseMs: number;
  /** This worker has lately adopted what it can: what is left may be requeued. */
  mayRequeue: () => boolean;
  /** How long a job waits for its unowned server before it goes elsewhere. */
  graceMs: number;
  log: Logger;
}

const rebaseEvery = 60;
const rowsPerPass = 1_000;
/** Tickets announced in one pass at most; a wiped Redis is refilled over a few passes. */
const roundsMax = 20;
/** Every so many passes one page of announced rows is compared with Redis. */
const auditEvery = 5;
const definitionsEvery = 60;
/** Longer than any process takes from reading a server's row to reading its definitions. */
const definitionsUnusedMs = 10 * 60_000;

/**
 * Sets right what crashes leave behind: rows that no ticket announces, jobs whose worker and server are both gone. One
 * process at a time holds its lease; any may.
 */
export class Sweeper {
  readonly #options: SweeperOptions;
  #passes = 0;
  #auditedUpTo: string | null = null;

  constructor(options: SweeperOptions) {
    this.#options = options;
  }

  async tick(): Promise<void> {
    const { servers, ownerId, leaseMs, guard } = this.#options;
    if (!(await guard.watch(servers.acquireNamedLease("sweeper", ownerId, leaseMs)))) return;
    this.#passes += 1;
    await this.#requeueAbandoned();
    await this.#expireQueued();
    if (this.#passes % rebaseEvery === 0) await this.#options.announcer.rebaseRanks();
    if (this.#passes % definitionsEvery === 1) await this.#removeUnusedDefinitions();
    try {
      await this.#refillWipedRedis();
      await this.announce();
      if (this.#passes % auditEvery === 0) await this.#audit();
    } catch (error) {
      if (!(error instanceof TicketsUnavailableError)) throw error;
      this.#options.log.debug({ err: error }, "Redis is away; tickets wait for it");
    }
  }

  async #requeueAbandoned(): Promise<void> {
    const { runs, signals, guard, graceMs, log } = this.#options;
    if (!guard.mayTakeOver || !this.#options.mayRequeue()) return;
    for (const { job, event } of await guard.watch(runs.requeueAbandoned(graceMs))) {
      log.warn({ jobId: job.id, status: job.status }, "its worker and its server are gone");
      signals.publish("job", eventSignal(event, job.batchId, job.status));
    }
  }

  async #expireQueued(): Promise<void> {
    const { runs, signals, log } = this.#options;
    const ended = await runs.expireQueued(rowsPerPass);
    for (const { job, event } of ended) signals.publish("job", eventSignal(event, job.batchId, job.status));
    if (ended.length > 0) log.info({ jobs: ended.length }, "queued jobs timed out at their queue deadline");
  }

  async #removeUnusedDefinitions(): Promise<void> {
    const removed = await this.#options.servers.removeUnusedDefinitions(definitionsUnusedMs);
    if (removed > 0)
      this.#options.log.info({ removed }, "definitions that no server has any more were removed");
  }

  async #refillWipedRedis(): Promise<void> {
    const { tickets, announcer, log } = this.#options;
    if (!(await tickets.wasWiped())) return;
    const jobs = await announcer.clearEnqueued();
    await tickets.rememberSentinel();
    if (jobs > 0) log.warn({ jobs }, "Redis had lost all tickets; they are made again");
  }

  /** Tickets for queued rows that have none. Any process may do so at any time. */
  async announce(): Promise<void> {
    const { tickets, announcer, log } = this.#options;
    for (let round = 0; round < roundsMax; round += 1) {
      const announcements = await announcer.listUnannounced(rowsPerPass);
      if (announcements.length === 0) return;
      await tickets.add(announcements);
      await announcer.markEnqueued(announcements);
      log.debug({ jobs: announcements.length }, "tickets added");
      if (announcements.length < rowsPerPass) return;
    }
  }

  /** A page of announced rows: tickets that went missing one by one are added again. */
  async #audit(): Promise<void> {
    const { tickets, announcer, log } = this.#options;
    const page = await announcer.listAnnounced(this.#auditedUpTo, rowsPerPass);
    this.#auditedUpTo = page.length < rowsPerPass ? null : (page.at(-1)?.jobId ?? null);
    const missing = await tickets.findMissing(page);
    if (missing.length === 0) return;
    await tickets.add(missing);
    log.warn({ jobs: missing.length }, "tickets were missing and were added again");
  }
}
