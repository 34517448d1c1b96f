import { defaultLaneSettings, StoreUnavailableError } from "@genga/jobs";
import { type Dependencies } from "./dependencies.ts";
import { type WorkerDrain } from "./draining/worker-drain.ts";
import { KnownDurations } from "./durations/known-durations.ts";
import { LaneKnowledge } from "./lanes/lane-knowledge.ts";
import { LaneMeasures } from "./lanes/lane-measures.ts";
import { ProgressWriter } from "./job/progress-writer.ts";
import { Previews } from "./previews/previews.ts";
import { noTakeBacks } from "./job/take-back.ts";
import { RunningJobs } from "./job/running-jobs.ts";
import { createOutOfService } from "./out-of-service.ts";
import { registerServerMetrics } from "./metrics/server-metrics.ts";
import { registerSourceMetrics } from "./metrics/source-metrics.ts";
import { type Recycler } from "./recycling/recycler.ts";
import { type OwnedServer } from "./servers/owned-server.ts";
import { ServerFleet } from "./servers/server-fleet.ts";
import { removeSuperseded } from "./servers/superseded-prompts.ts";
import { type WorkerStatus } from "./status-server.ts";
import { HouseKeeping } from "./sweeping/house-keeping.ts";
import { type StorageProblem } from "./servers/storage-hold.ts";
import { GuessedLaneJudge } from "./tickets/guessed-lanes.ts";
import { Sweeper, type SweeperOptions } from "./sweeping/sweeper.ts";
import { TakeBackAsker } from "./taking-back/take-back-asker.ts";
import { Eligibility } from "./tickets/eligibility.ts";
import { SlotPlanner } from "./tickets/slot-plan.ts";
import { TicketPump } from "./tickets/ticket-pump.ts";
import { OutageGuard } from "./timing/outage-guard.ts";
import { OwnSilence } from "./timing/own-silence.ts";
import { startTicker } from "./timing/ticker.ts";
import { WorkerPasses } from "./worker-passes.ts";

const progressFlushMs = 500;
const passIntervalMs = 1_000;
/** Servers wear out slowly; what an operator asks for is looked at at once. */
const recycleLookMs = 5_000;
const checkIntervalMs = 5_000;
const measuresIntervalMs = 2_000;
const servedIntervalMs = 2_000;

/** One worker process: owns servers, runs jobs on them, and takes part in sweeping. */
export class Worker {
  readonly #with: Dependencies;
  readonly #fleet: ServerFleet;
  readonly #jobs: RunningJobs;
  readonly #pump: TicketPump;
  /** On request it takes no new jobs. */
  readonly drain: WorkerDrain;
  readonly #recycler: Recycler;
  readonly #progress: ProgressWriter;
  readonly #sweeper: Sweeper;
  readonly #house: HouseKeeping;
  readonly #passes: WorkerPasses;
  readonly #measures: LaneMeasures;
  readonly #durations: KnownDurations;
  readonly #previews: Previews;
  readonly #knowledge: LaneKnowledge;
  readonly #stops: (() => Promise<void> | void)[] = [];
  readonly #silence: OwnSilence;
  readonly #takeBackCounts = { ...noTakeBacks };
  #statusUrl: string | null = null;

  constructor(dependencies: Dependencies) {
    const { runs, announcer, servers, lanes, definitions, tickets, signals, recorder, farm } = dependencies;
    const { log, workerId, settings, takeBacks } = dependencies;
    const { leaseMs, serverGraceMs: graceMs, stallMs } = settings;
    this.#with = dependencies;
    const guard = new OutageGuard(leaseMs);
    this.#silence = guard.silence;
    this.#measures = new LaneMeasures(dependencies.laneServing);
    this.#durations = new KnownDurations({ store: dependencies.runDurations, log });
    this.#previews = new Previews(dependencies.previewGiver);
    const fillSlots = (): void => {
      this.#pump.trigger();
    };
    this.#progress = new ProgressWriter({
      ...{ recorder, tickets, signals, log },
      flushIntervalMs: progressFlushMs,
    });
    const hasOtherWorkers = (): boolean => this.#fleet.liveWorkers > 1;
    const mayRequeue = (): boolean => this.#passes.mayRequeue;
    this.#sweeper = sweeperOf(dependencies, guard, { mayRequeue, hasOtherWorkers });
    const house = { servers: () => this.#fleet.owned, onStorage: this.#onStorage };
    this.#house = new HouseKeeping(dependencies, house);
    this.#fleet = new ServerFleet({
      ...{ workerId, servers, definitions, leaseMs, graceMs, stallMs, guard, log },
      ...{ serverSources: dependencies.serverSources, sources: dependencies.sources },
      serverName: settings.serverName,
      statusUrl: () => this.#statusUrl,
      onReady: (server) => {
        void this.#adoptAndFill(server);
      },
      onDefinitionsRead: (serverId) => {
        signals.publish("definitions-read", { serverId });
      },
      onQueueSeen: (server, queue) => removeSuperseded(server, queue, runs, log),
      onGone: (server, why) => this.#jobs.leave(server, why),
    });
    this.#jobs = this.#createRunningJobs(guard, fillSlots);
    ({ drain: this.drain, recycler: this.#recycler } = this.#createOutOfService());
    this.#knowledge = new LaneKnowledge({
      ...{ workerId, serving: dependencies.laneServing, servers, hasOtherWorkers, log },
    });
    const eligibility = new Eligibility(lanes);
    const planner = new SlotPlanner({
      ...{ knowledge: this.#knowledge, eligibility, definitions },
      settings: { ...defaultLaneSettings, patienceMs: settings.lanePatienceMs },
    });
    this.#pump = new TicketPump({
      ...{ workerId, runs, announcer, servers, definitions, tickets, leaseMs, log },
      ...{ planner, knowledge: this.#knowledge, hasOtherWorkers, takeBacks },
      asker: new TakeBackAsker({
        ...{ takeBacks, eligibility, signals, log },
        mayOthersBeBusy: () => hasOtherWorkers() || this.#fleet.owned.some(({ jobsHeld }) => jobsHeld > 0),
      }),
      isPaused: () => this.#passes.isPaused,
      readyServers: () => (this.drain.isDraining ? [] : this.#readyServers()),
      keepTicket: (ticket) => this.#jobs.keepTicket(ticket),
      start: (...claimed) => {
        this.#jobs.start(...claimed);
      },
    });
    this.#passes = new WorkerPasses({
      ...{ fleet: this.#fleet, sweeper: this.#sweeper, pump: this.#pump },
      ...{ farm, guard, leaseMs, log, sources: dependencies.sources },
      onResumed: () => {
        this.#knowledge.noteResumed();
      },
      adoptOn: (owned) => this.#jobs.adoptOn(owned),
    });
    registerServerMetrics(dependencies.registry, () => this.#fleet.owned);
  }

  readonly #onStorage = (problem: StorageProblem | null): void => {
    this.#fleet.setStorage(problem);
    if (problem === null) this.#pump.trigger();
  };

  get status(): WorkerStatus {
    const { owned, renewedAgoMs } = this.#fleet;
    return {
      ...{ workerId: this.#with.workerId, leaseMs: this.#with.settings.leaseMs },
      ...{ leasesRenewedAgoMs: renewedAgoMs, isPaused: this.#passes.isPaused },
      ...{ serversOwned: owned.length, jobsHeld: this.#jobs.count },
      serversReady: this.#readyServers().length,
      ...{ disk: this.#house.storage.room, storageProblem: this.#house.storage.problem },
      takeBacks: this.#takeBackCounts,
      drain: this.drain.state,
    };
  }

  /** @param statusUrl where the worker serves `/health` and `/metrics`, for the list of workers */
  start(statusUrl: string): void {
    this.#statusUrl = statusUrl;
    this.#subscribe();
    const { tickets, log, settings, sources, registry } = this.#with;
    registerSourceMetrics(registry, sources);
    sources.onChange(() => {
      this.#fleet.applySources();
    });
    const repeat = (name: string, intervalMs: number, tick: () => Promise<void> | void): void => {
      this.#stops.push(startTicker({ name, intervalMs, tick, log }));
    };
    this.#stops.push(
      tickets.onAvailable(() => {
        this.#pump.trigger();
      }),
    );
    repeat("own silence", OwnSilence.beatMs, () => {
      this.#silence.beat();
    });
    repeat("measures", measuresIntervalMs, () => this.#measures.flush());
    repeat("durations", measuresIntervalMs, () => this.#durations.flush());
    repeat("served lanes", servedIntervalMs, () => this.#knowledge.flush(this.#lanesAtWork()));
    repeat("heartbeat", settings.leaseMs / 3, () => this.#renewLeases());
    this.#stops.push(...this.#house.start());
    // Each pass has a timer of its own, so that a slow hand-over or sweep delays no other pass.
    for (const [name, tick] of this.#passes.list()) repeat(name, passIntervalMs, tick);
    repeat("drain", passIntervalMs, () => {
      this.drain.look();
    });
    repeat("recycling", recycleLookMs, () => this.#recycler.look());
    repeat("server checks", checkIntervalMs, () => {
      this.#checkServers({ definitionsWanted: false });
    });
  }

  /**
   * Claims no more jobs, leaves prompts running, and hands leases back. While the database is unavailable they expire
   * instead.
   */
  async stop(): Promise<void> {
    const recyclerStopped = this.#recycler.stop();
    await Promise.all([this.#pump.stop(), ...this.#stops.map(async (stop) => stop())]);
    await this.#passes.whenIdle();
    await this.#previews.close();
    await this.#house.endedPrompts.forgetNow();
    try {
      await this.#fleet.close();
      await this.#progress.close();
      await this.#measures.flush();
      await this.#durations.flush();
      await this.#house.endedPrompts.flush();
      await this.#with.servers.stopWorker(this.#with.workerId);
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      this.#with.log.warn({ err: error }, "leases could not be handed back and are left to run out");
    } finally {
      // A hook gets some seconds to end. The servers are not kept for that long.
      await recyclerStopped;
    }
  }

  #createRunningJobs(guard: OutageGuard, onSlotFreed: () => void): RunningJobs {
    const { runs, servers, definitions, tickets, recorder, storage, log, workerId, settings } = this.#with;
    const { takeBacks, runMetrics: metrics, tracing, doorMessages, doorFiles } = this.#with;
    const { leaseMs, serverGraceMs: graceMs, serverRetireMs: retireMs } = settings;
    const { stallMs, storageGraceMs, secretsKeys, previewMethod } = settings;
    return new RunningJobs({
      ...{ workerId, runs, servers, definitions, recorder, storage, tickets, guard, log },
      ...{ leaseMs, graceMs, stallMs, retireMs, storageGraceMs, secretsKeys, previewMethod },
      storageWatch: this.#house.storage,
      postTimeoutMs: Math.min(5_000, Math.floor((leaseMs * 5) / 12)),
      progress: this.#progress,
      measures: this.#measures,
      ...{ durations: this.#durations, previews: this.#previews, metrics, tracing },
      ...{ doorMessages, doorFiles },
      endedPrompts: this.#house.endedPrompts,
      ...{ takeBacks, takeBackCounts: this.#takeBackCounts },
      owns: (server) => this.#fleet.find(server.id) === server,
      onSlotFreed,
      onEnded: ({ job }) => {
        this.drain.look();
        if (this.#pump.isLimited(job.tenantId)) void this.#announceNext();
      },
    });
  }

  #createOutOfService(): ReturnType<typeof createOutOfService> {
    return createOutOfService(this.#with, () => ({
      ...{ fleet: this.#fleet, jobs: this.#jobs, pump: this.#pump },
    }));
  }

  /** Subscriptions stay pending while Redis is unavailable; the work itself does not wait for them. */
  #subscribe(): void {
    const { signals, log } = this.#with;
    const subscriptions = [
      signals.subscribe("cancel", ({ jobIds }) => {
        this.#jobs.cancel(jobIds);
      }),
      signals.subscribe("take-back-asked", ({ jobIds }) => {
        this.#jobs.takeBack(jobIds);
      }),
      signals.subscribe("taken-back", (job) => {
        this.#pump.claimTakenBack(job);
      }),
      signals.subscribe("definitions-wanted", () => {
        this.#checkServers({ definitionsWanted: true });
      }),
      signals.subscribe("operator-request", () => {
        this.#passes.readRequests();
        void this.#recycler.look();
      }),
    ];
    for (const subscription of subscriptions) {
      subscription.catch((error: unknown) => {
        log.debug({ err: error }, "a subscription ended before it began");
      });
    }
  }

  /**
   * Renews the leases of servers and of jobs at the same time, so that a problem with the former does not cost the
   * latter.
   */
  async #renewLeases(): Promise<void> {
    await Promise.all([this.#fleet.renew(), this.#jobs.renewLeases()]);
  }

  #readyServers(): OwnedServer[] {
    return this.#fleet.owned.filter((server) => server.mayTakeJobs);
  }

  /** The lanes of servers that have a job. */
  #lanesAtWork(): string[] {
    return this.#fleet.owned.flatMap(({ jobsHeld, model }) => (jobsHeld > 0 ? (model.lane ?? []) : []));
  }

  /**
   * The checks are not awaited, so that a server that does not answer delays neither other servers nor the worker's
   * end.
   */
  #checkServers(options: { definitionsWanted: boolean }): void {
    for (const server of this.#fleet.owned) {
      server.tick(options).catch((error: unknown) => {
        this.#with.log.warn({ err: error, server: server.url }, "a check of a server failed");
      });
    }
  }

  /** Called for a server that can take work (again): adopts the jobs that are on it, then starts new ones. */
  async #adoptAndFill(server: OwnedServer): Promise<void> {
    try {
      await this.#jobs.adoptOn([server]);
    } catch (error) {
      this.#with.log.warn({ err: error, server: server.url }, "its jobs could not be adopted yet");
    }
    this.#pump.triggerAnew();
  }

  /**
   * The end of a job gave its tenant a place for the next job. If this fails, the sweeper adds that job's ticket a
   * second later.
   */
  async #announceNext(): Promise<void> {
    try {
      await this.#sweeper.announce();
    } catch (error) {
      this.#with.log.debug({ err: error }, "the next job of a tenant could not be announced yet");
    }
  }
}

function sweeperOf(
  dependencies: Dependencies,
  guard: OutageGuard,
  asked: Pick<SweeperOptions, "mayRequeue" | "hasOtherWorkers">,
): Sweeper {
  const { workerId: ownerId, runs, announcer, servers, guessedLanes: lanes, definitions } = dependencies;
  const { runMetrics: metrics, serverSources } = dependencies;
  const { tickets, signals, log, settings } = dependencies;
  const { leaseMs, serverGraceMs: graceMs, serverRetireMs: retireMs, ageingMs } = settings;
  return new Sweeper({
    ...{ ownerId, runs, announcer, servers, tickets, signals, guard, serverSources, ...asked },
    ...{ leaseMs, graceMs, retireMs, ageingMs, metrics, log },
    guessedLanes: new GuessedLaneJudge({ lanes, servers, definitions, tickets, log }),
  });
}
