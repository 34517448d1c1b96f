import {
  type HeldTicket,
  type LeasedJob,
  StoreUnavailableError,
  defaultLane,
  type SignalTopics,
} from "@genga/jobs";
import { type Dependencies } from "./dependencies.ts";
import { giveUp } from "./job/give-up.ts";
import { HouseKeeping } from "./sweeping/house-keeping.ts";
import { OutageGuard } from "./timing/outage-guard.ts";
import { type OwnedServer } from "./servers/owned-server.ts";
import { processJob, type ProcessJobOptions } from "./job/process-job.ts";
import { ProgressWriter } from "./job/progress-writer.ts";
import { Run } from "./job/run.ts";
import { ServerFleet } from "./servers/server-fleet.ts";
import { type WorkerStatus } from "./status-server.ts";
import { Sweeper } from "./sweeping/sweeper.ts";
import { removeSuperseded } from "./servers/superseded-prompts.ts";
import { startTicker } from "./timing/ticker.ts";
import { TicketPump } from "./tickets/ticket-pump.ts";
import { WorkerPasses } from "./worker-passes.ts";

const progressFlushMs = 500;
const passIntervalMs = 1_000;
const probeIntervalMs = 5_000;

/** One worker process: owns servers, runs jobs on them, and takes its turn at sweeping. */
export class Worker {
  readonly #with: Dependencies;
  readonly #guard: OutageGuard;
  readonly #fleet: ServerFleet;
  readonly #pump: TicketPump;
  readonly #progress: ProgressWriter;
  readonly #sweeper: Sweeper;
  readonly #house: HouseKeeping;
  readonly #runs = new Map<string, Run>();
  readonly #endings = new Map<Run, Promise<void>>();
  readonly #stops: (() => Promise<void> | void)[] = [];
  readonly #passes: WorkerPasses;
  #statusUrl: string | null = null;

  constructor(dependencies: Dependencies) {
    const { runs, announcer, servers, definitions, tickets, signals, recorder, log, workerId, settings } =
      dependencies;
    const { leaseMs, serverGraceMs: graceMs, stallMs } = settings;
    this.#with = dependencies;
    this.#guard = new OutageGuard(leaseMs);
    const guard = this.#guard;
    this.#progress = new ProgressWriter({
      recorder,
      tickets,
      signals,
      log,
      flushIntervalMs: progressFlushMs,
    });
    this.#sweeper = new Sweeper({
      ownerId: workerId,
      ...{ runs, announcer, servers, tickets, signals, guard, leaseMs, graceMs, log },
      mayRequeue: () => this.#passes.mayRequeue,
    });
    this.#house = new HouseKeeping(dependencies, {
      servers: () => this.#fleet.owned,
      onRoom: () => {
        this.#pump.trigger();
      },
    });
    this.#fleet = new ServerFleet({
      workerId,
      ...{ servers, definitions },
      addresses: settings.comfyuiServers,
      slots: settings.serverSlots,
      ...{ leaseMs, graceMs, stallMs },
      guard,
      log,
      statusUrl: () => this.#statusUrl,
      onReady: (server) => {
        void this.#becomeReady(server);
      },
      onDefinitionsRead: (serverId) => {
        signals.publish("definitions-read", { serverId });
      },
      onQueueSeen: (server, queue) => removeSuperseded(server, queue, runs, log),
      onGone: (server, why) => this.#leave(server, why),
    });
    this.#pump = new TicketPump({
      workerId,
      ...{ runs, announcer, servers, definitions, tickets, leaseMs, log },
      hasOtherWorkers: () => this.#fleet.liveWorkers > 1,
      isPaused: () => this.#passes.isPaused,
      readyServers: () =>
        this.#house.disk.isFull ? [] : this.#fleet.owned.filter((server) => server.mayTakeJobs),
      keepTicket: (ticket) => this.#keepTicket(ticket),
      start: (leased, server, ticket, leasedSince) => {
        this.#start(leased, server, ticket, leasedSince);
      },
    });
    this.#passes = new WorkerPasses({
      ...{ fleet: this.#fleet, sweeper: this.#sweeper, pump: this.#pump, farm: dependencies.farm },
      ...{ guard, leaseMs, log },
      adoptOn: (owned) => this.#adoptOn(owned),
    });
  }

  get status(): WorkerStatus {
    const { owned, renewedAgoMs } = this.#fleet;
    return {
      ...{ workerId: this.#with.workerId, leaseMs: this.#with.settings.leaseMs },
      ...{ leasesRenewedAgoMs: renewedAgoMs, isPaused: this.#passes.isPaused },
      ...{ serversOwned: owned.length, jobsHeld: this.#runs.size },
      serversReady: owned.filter((server) => server.mayTakeJobs).length,
    };
  }

  /** @param statusUrl where it tells how it is, for the list of workers */
  start(statusUrl: string): void {
    this.#statusUrl = statusUrl;
    const { signals, tickets, log, settings } = this.#with;
    // Pending for as long as Redis is away; the work itself does not wait for it.
    const subscriptions = [
      signals.subscribe("cancel", (message) => {
        this.#cancel(message);
      }),
      signals.subscribe("definitions-wanted", () => {
        for (const server of this.#fleet.owned) void this.#look(server, true);
      }),
      signals.subscribe("operator-request", () => {
        this.#passes.readRequests();
      }),
    ];
    for (const subscription of subscriptions) {
      subscription.catch((error: unknown) => {
        log.debug({ err: error }, "a subscription ended before it began");
      });
    }
    this.#stops.push(
      tickets.onAvailable(defaultLane, () => {
        this.#pump.trigger();
      }),
      startTicker({
        name: "heartbeat",
        intervalMs: settings.leaseMs / 3,
        tick: () => this.#heartbeat(),
        log,
      }),
      ...this.#house.start(),
      // Each by itself: a hand-over that waits, or a slow sweep, delays nothing else.
      ...this.#passes
        .list()
        .map(([name, tick]) => startTicker({ name, intervalMs: passIntervalMs, tick, log })),
      startTicker({
        name: "probe",
        intervalMs: probeIntervalMs,
        // Not awaited: a server that does not answer keeps neither the others nor the worker's end waiting.
        tick: () => {
          for (const server of this.#fleet.owned) void this.#look(server, false);
        },
        log,
      }),
    );
  }

  /** Claims nothing new, leaves prompts running, hands leases back; while the database is away they run out. */
  async stop(): Promise<void> {
    await Promise.all([this.#pump.stop(), ...this.#stops.map(async (stop) => stop())]);
    await this.#passes.settle();
    try {
      await this.#fleet.close();
      await this.#progress.close();
      await this.#house.endedPrompts.flush();
      await this.#with.servers.stopWorker(this.#with.workerId);
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      this.#with.log.warn({ err: error }, "leases could not be handed back and are left to run out");
    }
  }

  async #heartbeat(): Promise<void> {
    // Side by side: trouble with the servers' leases must not cost the jobs theirs.
    await Promise.all([this.#fleet.renew(), this.#renewJobs()]);
  }

  async #renewJobs(): Promise<void> {
    const runs = [...this.#runs.values()];
    if (runs.length === 0) return;
    const sentAt = performance.now();
    const { held, cancelRequested } = await this.#guard.watch(
      this.#with.runs.renewLeases(
        runs.map((run) => run.leased),
        this.#with.settings.leaseMs,
      ),
    );
    const stillOurs = new Set(held.map((lease) => `${lease.jobId} ${lease.leaseNumber}`));
    for (const run of runs) {
      if (stillOurs.has(`${run.jobId} ${run.leased.leaseNumber}`)) run.lease.renewed(sentAt);
      else run.stop("lease-lost");
    }
    this.#cancel({ jobIds: cancelRequested });
  }

  async #look(server: OwnedServer, definitionsWanted: boolean): Promise<void> {
    try {
      await server.tick({ definitionsWanted });
    } catch (error) {
      this.#with.log.warn({ err: error, server: server.url }, "a look at a server failed");
    }
  }

  async #becomeReady(server: OwnedServer): Promise<void> {
    try {
      await this.#adoptOn([server]);
    } catch (error) {
      this.#with.log.warn({ err: error, server: server.url }, "its jobs could not be adopted yet");
    }
    this.#pump.triggerAnew();
  }

  /** Takes over the jobs of a dead or stopped worker on these servers, and watches their prompts. */
  async #adoptOn(owned: OwnedServer[]): Promise<void> {
    if (owned.length === 0 || !this.#guard.mayTakeOver) return;
    const byId = new Map(owned.map((server) => [server.id, server]));
    const { runs, workerId, settings, log } = this.#with;
    const leasedSince = performance.now();
    const adopted = await this.#guard.watch(runs.adoptJobs([...byId.keys()], workerId, settings.leaseMs));
    for (const leased of adopted) {
      const server = byId.get(leased.serverId);
      if (server === undefined) continue;
      log.info({ jobId: leased.jobId, attempt: leased.attempt, server: server.url }, "job adopted");
      // It may be our own: a pause or an outage outlasted our lease, and nobody else was there to adopt.
      const earlier = this.#runs.get(leased.jobId);
      earlier?.stop("lease-lost");
      this.#start(leased, server, null, leasedSince, earlier && this.#endings.get(earlier));
    }
  }

  /** @param after an earlier run of the same prompt ends first: only one may watch it */
  #start(
    leased: LeasedJob,
    server: OwnedServer,
    ticket: HeldTicket | null,
    leasedSince: number,
    after?: Promise<void>,
  ): void {
    const { settings, recorder, runs, servers, definitions, storage, tickets, log } = this.#with;
    const wasAdopted = ticket === null;
    if (this.#fleet.find(server.id) !== server) {
      // The server was lost or handed over while the job was being claimed: its next owner adopts it.
      void giveUp(leased, ticket, this.#with);
      return;
    }
    const run = new Run({
      leased,
      ticket,
      wasAdopted,
      leaseMs: settings.leaseMs,
      leasedSince,
      secretsKeys: settings.secretsKeys,
    });
    this.#runs.set(run.jobId, run);
    server.runs.add(run);
    const options: ProcessJobOptions = {
      ...{ recorder, runs, servers, definitions, storage, tickets },
      progress: this.#progress,
      endedPrompts: this.#house.endedPrompts,
      log,
      ...{ stallMs: settings.stallMs, leaseMs: settings.leaseMs, retireMs: settings.serverRetireMs },
      graceMs: settings.serverGraceMs,
      postTimeoutMs: Math.min(5_000, Math.floor((settings.leaseMs * 5) / 12)),
      onSlotFreed: () => {
        this.#pump.trigger();
      },
    };
    const ended = (after ?? Promise.resolve())
      .then(() => processJob(run, server, options))
      .finally(() => {
        server.runs.delete(run);
        if (this.#runs.get(run.jobId) === run) this.#runs.delete(run.jobId);
        this.#endings.delete(run);
        if (this.#pump.isLimited(leased.job.tenantId)) void this.#announceNext();
      });
    this.#endings.set(run, ended);
  }

  /** A job's end gave its tenant a place for the next one. What fails here the sweeper does a second later. */
  async #announceNext(): Promise<void> {
    try {
      await this.#sweeper.announce();
    } catch (error) {
      this.#with.log.debug({ err: error }, "the next job of a tenant could not be announced yet");
    }
  }

  #keepTicket(ticket: HeldTicket): boolean {
    return this.#runs.get(ticket.jobId)?.keepTicket(ticket) ?? false;
  }

  #cancel({ jobIds }: SignalTopics["cancel"]): void {
    for (const jobId of jobIds) this.#runs.get(jobId)?.requestCancel();
  }

  /**
   * The server is no longer ours: its runs end. After a hand-over the successor may adopt at once, except a prompt that
   * may still arrive: its lease runs out, and no POST outlives its lease.
   */
  async #leave(server: OwnedServer, why: "lease-lost" | "hand-over"): Promise<void> {
    const runs = [...server.runs];
    for (const run of runs) run.stop(why);
    await Promise.all(runs.flatMap((run) => this.#endings.get(run) ?? []));
    if (why !== "hand-over") return;
    const settled = runs.filter((run) => !run.mayStillArrive);
    await this.#with.runs.releaseLeases(settled.map((run) => run.leased));
  }
}
