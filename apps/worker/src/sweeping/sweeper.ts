import {
  eventSignal,
  type JobAnnouncer,
  type JobRuns,
  type ServerSourcesStore,
  type ServerStore,
  type Signals,
  type SweeperWork,
  type TicketQueue,
  TicketsUnavailableError,
} from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { type RunMetrics } from "../metrics/run-metrics.ts";
import { type OutageGuard } from "../timing/outage-guard.ts";
import { LostTickets } from "./lost-tickets.ts";
import { NotedEnds } from "./noted-ends.ts";
import { SweepingTurn } from "./sweeping-turn.ts";

export interface SweeperOptions {
  ownerId: string;
  runs: Pick<JobRuns, "findSweeperWork" | "requeueAbandoned" | "expireQueued" | "passOnEnds">;
  announcer: JobAnnouncer;
  /** Judges jobs that were accepted while no server was known. */
  guessedLanes: { tick: () => Promise<void> };
  servers: ServerStore;
  serverSources: Pick<ServerSourcesStore, "removeUnnamed" | "forgetServers">;
  tickets: TicketQueue;
  signals: Signals;
  guard: OutageGuard;
  leaseMs: number;
  /** How long a worker that is gone still counts as naming its servers. */
  retireMs: number;
  /** This worker has lately adopted every job that it can, so the remaining jobs without a worker may be requeued. */
  mayRequeue: () => boolean;
  /** `false` while this worker is the only one, as far as it knows. */
  hasOtherWorkers: () => boolean;
  /** How long a job waits for its server to get an owner, before it is requeued for any server. */
  graceMs: number;
  /** How long a job waits in a band before it moves up. */
  ageingMs: number;
  metrics: Pick<RunMetrics, "noteRecovered" | "noteSweeperFailure">;
  log: Logger;
}

/** Every so many passes the ranks of idle lanes begin anew, and the bases of busy ones move. */
const idleRanksEvery = 60;
const basesEvery = 5;
const ageingEvery = 10;
const rowsPerPass = 1_000;
/** The most rounds of adding tickets in one pass; a wiped Redis gets its tickets back over a few passes. */
const roundsMax = 20;
/** Every so many passes one page of announced rows is compared with Redis. */
const auditEvery = 5;
const definitionsEvery = 60;
const unnamedEvery = 5;
const forgottenEvery = 600;
/** Workers that were away for less know the rows of their servers by their ids. */
const unlistedKeptMs = 24 * 60 * 60_000;
/** Longer than any process takes between reading a server's row and reading its definitions. */
const definitionsUnusedMs = 10 * 60_000;

/** Each step also finds out by itself whether there is something to do. */
const anyWork: SweeperWork = {
  ...{ hasAbandoned: true, hasExpired: true, hasEnds: true },
  ...{ hasGuessedLanes: true, hasReady: true, hasRepricing: true },
};

/** Abandoned and expired jobs are ended before. */
const mayHaveEnds = ({ hasEnds, hasAbandoned, hasExpired }: SweeperWork): boolean =>
  hasEnds || hasAbandoned || hasExpired;

/**
 * Repairs what crashes leave behind: queued rows without a ticket, jobs whose worker and server are both gone, and ends that
 * the jobs which wait for them were not told. One
 * process at a time holds the lease for this; any worker may.
 */
export class Sweeper {
  readonly #options: SweeperOptions;
  readonly #turn: SweepingTurn;
  readonly #lostTickets: LostTickets;
  readonly #notedEnds: NotedEnds;
  #passes = 0;
  /** The judge forgets lanes that it does not find any more. */
  #hadGuessedLanes = false;
  #auditedUpTo: string | null = null;

  constructor(options: SweeperOptions) {
    this.#options = options;
    this.#turn = new SweepingTurn(options.leaseMs);
    this.#lostTickets = new LostTickets(options);
    this.#notedEnds = new NotedEnds(options);
  }

  async tick(): Promise<void> {
    const { servers, ownerId, leaseMs, guard } = this.#options;
    if (!this.#turn.isOwn) {
      this.#lostTickets.startOver();
      return;
    }
    if (!(await guard.watch(servers.acquireNamedLease("sweeper", ownerId, leaseMs)))) {
      this.#turn.note({ isBarred: false, hasOthers: true });
      this.#lostTickets.startOver();
      return;
    }
    this.#passes += 1;
    const { graceMs, runs } = this.#options;
    let work = anyWork;
    await this.#step("search for work", async () => {
      work = await guard.watch(runs.findSweeperWork(graceMs));
    });
    // Tickets come first: however long another step takes to fail, servers get work.
    const hasRedis = await this.#addTickets(work);
    await this.#repairJobs(work);
    await this.#keepRows();
    if (hasRedis) await this.#keepTickets(work);
  }

  /**
   * A step that fails, even in every pass, keeps no other step from its work.
   * @returns "redis-away" if it failed because of that
   */
  async #step(name: string, work: () => Promise<unknown>): Promise<"done" | "failed" | "redis-away"> {
    const { metrics, log } = this.#options;
    try {
      await work();
      return "done";
    } catch (error) {
      if (error instanceof TicketsUnavailableError) {
        this.#lostTickets.startOver();
        log.debug({ err: error }, "Redis is unavailable; tickets are added when it is back");
        return "redis-away";
      }
      metrics.noteSweeperFailure(name);
      log.warn({ err: error, step: name }, "a step of the sweeper failed and will be repeated");
      return "failed";
    }
  }

  /** @returns whether Redis is there */
  async #addTickets({ hasReady }: SweeperWork): Promise<boolean> {
    let wasWiped = false as boolean;
    const cleared = await this.#step("lost tickets", async () => {
      wasWiped = await this.#lostTickets.clear();
    });
    if (cleared === "redis-away") return false;
    if (!hasReady && !wasWiped && cleared === "done") return true;
    return (await this.#step("tickets", () => this.announce())) !== "redis-away";
  }

  async #repairJobs(work: SweeperWork): Promise<void> {
    const { guard, log } = this.#options;
    const mayRequeue = guard.mayTakeOver && this.#options.mayRequeue();
    if (work.hasAbandoned && mayRequeue) await this.#step("abandoned jobs", () => this.#requeueAbandoned());
    const hasOthers = this.#options.hasOtherWorkers();
    if (this.#turn.note({ isBarred: work.hasAbandoned && !mayRequeue, hasOthers }))
      log.warn("jobs whose worker is gone wait, and this worker may not requeue them: others may sweep now");
    if (work.hasExpired) await this.#step("expired jobs", () => this.#expireQueued());
    if (mayHaveEnds(work)) await this.#step("ends", () => this.#notedEnds.passOn());
  }

  async #keepRows(): Promise<void> {
    const { announcer } = this.#options;
    if (this.#passes % idleRanksEvery === 0)
      await this.#step("idle ranks", () => announcer.forgetIdleRanks());
    if (this.#movesBases) await this.#step("bases", () => announcer.moveBases());
    if (this.#passes % unnamedEvery === 0)
      await this.#step("unnamed servers", () => this.#removeUnnamedServers());
    if (this.#passes % forgottenEvery === 1)
      await this.#step("forgotten servers", () => this.#forgetServers());
    if (this.#passes % definitionsEvery === 1)
      await this.#step("definitions", () => this.#removeUnusedDefinitions());
  }

  get #movesBases(): boolean {
    return this.#passes % basesEvery === 0;
  }

  async #keepTickets(work: SweeperWork): Promise<void> {
    const judges = work.hasGuessedLanes || this.#hadGuessedLanes;
    this.#hadGuessedLanes = work.hasGuessedLanes;
    if (judges) await this.#step("guessed lanes", () => this.#options.guessedLanes.tick());
    const ages = this.#passes % ageingEvery === 0;
    if (ages) await this.#step("ageing", () => this.#ageJobs());
    // The steps before may have taken tickets from jobs, or made jobs ready.
    if (mayHaveEnds(work) || judges || ages) await this.#step("tickets", () => this.announce());
    if (work.hasRepricing || this.#movesBases) await this.#step("priorities", () => this.#reprice());
    if (this.#passes % auditEvery === 0) await this.#step("audit", () => this.#audit());
  }

  async #requeueAbandoned(): Promise<void> {
    const { runs, signals, guard, graceMs, metrics, log } = this.#options;
    for (const { job, event } of await guard.watch(runs.requeueAbandoned(graceMs))) {
      log.warn(
        { jobId: job.id, status: job.status },
        "the job's worker and server are gone; the job was requeued or cancelled",
      );
      metrics.noteRecovered("requeued");
      signals.publish("job", eventSignal(event, job));
    }
  }

  async #expireQueued(): Promise<void> {
    const { runs, signals, log } = this.#options;
    const ended = await runs.expireQueued(rowsPerPass);
    for (const { job, event } of ended) signals.publish("job", eventSignal(event, job));
    if (ended.length > 0) log.info({ jobs: ended.length }, "queued jobs timed out at their queue deadline");
  }

  async #removeUnnamedServers(): Promise<void> {
    const { serverSources, guard, leaseMs, retireMs, log } = this.#options;
    const removed = await guard.watch(serverSources.removeUnnamed({ leaseMs, seenWithinMs: retireMs }));
    if (removed > 0) log.info({ removed }, "servers that no worker names any more were removed");
  }

  async #forgetServers(): Promise<void> {
    const forgotten = await this.#options.serverSources.forgetServers(unlistedKeptMs);
    if (forgotten > 0) this.#options.log.info({ forgotten }, "rows of servers that are gone were removed");
  }

  async #removeUnusedDefinitions(): Promise<void> {
    const removed = await this.#options.servers.removeUnusedDefinitions(definitionsUnusedMs);
    if (removed > 0)
      this.#options.log.info({ removed }, "definitions that no server has any more were removed");
  }

  /** Adds tickets for queued rows that have none. Any process may call this at any time. */
  async announce(): Promise<void> {
    const { tickets, announcer, log } = this.#options;
    for (let round = 0; round < roundsMax; round += 1) {
      const announcements = await announcer.listUnannounced(rowsPerPass);
      if (announcements.length === 0) return;
      await tickets.add(announcements);
      log.debug({ jobs: announcements.length }, "tickets added");
      // All of them are locked: the next pass comes to them.
      if ((await announcer.markEnqueued(announcements)) === 0) return;
    }
  }

  async #ageJobs(): Promise<void> {
    const { tickets, announcer, ageingMs, log } = this.#options;
    const stale = await announcer.ageJobs(ageingMs, rowsPerPass);
    if (stale.length === 0) return;
    await tickets.remove(stale);
    log.debug({ jobs: stale.length }, "jobs moved up a band because they have waited long");
  }

  /** Gives tickets whose base has moved their new priorities. A process that dies in between leaves the rest to the next one. */
  async #reprice(): Promise<void> {
    const { tickets, announcer } = this.#options;
    for (let round = 0; round < roundsMax; round += 1) {
      const page = await announcer.nextRepricing(rowsPerPass);
      if (page === null) return;
      await tickets.reprice(page.announcements);
      await announcer.noteRepriced(page);
    }
  }

  /** Compares one page of announced rows with Redis, and adds missing tickets again. */
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
