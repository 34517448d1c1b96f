import { type FarmStore } from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { Coalescer } from "./timing/coalescer.ts";
import { type OutageGuard } from "./timing/outage-guard.ts";
import { type OwnedServer } from "./servers/owned-server.ts";
import { type ServerFleet } from "./servers/server-fleet.ts";
import { type Sweeper } from "./sweeping/sweeper.ts";
import { type TicketPump } from "./tickets/ticket-pump.ts";

export interface WorkerPassesOptions {
  fleet: ServerFleet;
  sweeper: Sweeper;
  pump: TicketPump;
  farm: Pick<FarmStore, "findPause">;
  /** Servers may be added and removed by the API. */
  sources: { refresh(): Promise<void> };
  guard: OutageGuard;
  leaseMs: number;
  /** The farm was paused, and goes on now. */
  onResumed: () => void;
  adoptOn: (owned: OwnedServer[]) => Promise<void>;
  log: Logger;
}

/**
 * The passes that a worker makes once a second without a signal: servers may have become free, leases may have expired,
 * tickets may be due. Each pass has its own timer, so that a slow hand-over or sweep delays no other pass.
 */
export class WorkerPasses {
  readonly #with: WorkerPassesOptions;
  readonly #adoption = new Coalescer(() => this.#adopt());
  readonly #requests = new Coalescer(() => this.#readRequests());
  /** When the last pass that took servers began, by the monotonic clock. */
  #balancedAt: number | null = null;
  /** When this worker last adopted every job that it could; `null` while it may not take over. */
  #adoptedAt: number | null = null;
  #maySweep = false;
  #isPaused = false;
  /** When the servers that operators added were last read, by the monotonic clock. */
  #addedReadAt = Number.NEGATIVE_INFINITY;

  constructor(options: WorkerPassesOptions) {
    this.#with = options;
  }

  /** An operator paused the farm. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** This worker has lately adopted every job that it can, so a remaining job without an owner has no worker. */
  get mayRequeue(): boolean {
    return this.#adoptedAt !== null && performance.now() - this.#adoptedAt < this.#with.leaseMs;
  }

  list(): (readonly [name: string, tick: () => Promise<void>])[] {
    return [
      ["balance", () => this.#balance()],
      ["adoption", () => this.#adoption.trigger()],
      ["operators' requests", () => this.#requests.trigger()],
      ["sweep", () => this.#sweep()],
      ["tickets", () => this.#takeTickets()],
    ];
  }

  /** Reads operators' requests now, because a signal announced one. */
  readRequests(): void {
    this.#addedReadAt = Number.NEGATIVE_INFINITY;
    void this.#requests.trigger();
  }

  /** To be called after the passes have stopped: waits for what they have begun. */
  async whenIdle(): Promise<void> {
    await Promise.all([this.#adoption.whenIdle(), this.#requests.whenIdle()]);
  }

  async #balance(): Promise<void> {
    const { fleet, guard, sources } = this.#with;
    // Without the servers of the API, a worker that starts again would retire those that it had.
    if (this.#balancedAt === null) await guard.watch(sources.refresh());
    const beganAt = performance.now();
    await fleet.balance();
    this.#balancedAt = beganAt;
    if (this.#adoptedAt === null) void this.#adoption.trigger();
  }

  async #adopt(): Promise<void> {
    const { fleet, guard, adoptOn, log } = this.#with;
    // After an outage, the servers of dead workers are taken first: what runs on them can be adopted then.
    const mayAdopt = (): boolean =>
      this.#balancedAt !== null && this.#balancedAt >= guard.mayTakeOverFrom && guard.mayTakeOver;
    const mightAtFirst = mayAdopt();
    try {
      await adoptOn(fleet.owned);
      this.#adoptedAt = mightAtFirst && mayAdopt() ? performance.now() : null;
      this.#maySweep ||= mightAtFirst;
    } catch (error) {
      log.warn({ err: error }, "jobs of other workers could not be adopted yet");
    }
  }

  /**
   * A job that can be adopted must not be requeued, so the sweep waits until this worker has adopted every job that it
   * can.
   */
  async #sweep(): Promise<void> {
    if (this.#maySweep) await this.#with.sweeper.tick();
  }

  async #readRequests(): Promise<void> {
    const { fleet, farm, guard, pump, onResumed, log } = this.#with;
    try {
      await this.#readAddedServers();
      await fleet.readRequests();
      const isPaused = (await guard.watch(farm.findPause())) !== null;
      if (isPaused === this.#isPaused) return;
      this.#isPaused = isPaused;
      log.info(isPaused ? "the farm is paused: nothing new is claimed" : "the farm is resumed");
      if (isPaused) return;
      onResumed();
      pump.triggerAnew();
    } catch (error) {
      log.warn({ err: error }, "operators' requests could not be read yet");
    }
  }

  /** At once after a signal; else now and then, since signals may be lost. @throws StoreUnavailableError */
  async #readAddedServers(): Promise<void> {
    const { sources, guard, leaseMs } = this.#with;
    const now = performance.now();
    if (now - this.#addedReadAt < leaseMs / 3) return;
    this.#addedReadAt = now;
    try {
      await guard.watch(sources.refresh());
    } catch (error) {
      this.#addedReadAt = Number.NEGATIVE_INFINITY;
      throw error;
    }
  }

  /** Not awaited: a pass over the tickets may take long, and never runs twice at the same time. */
  #takeTickets(): Promise<void> {
    this.#with.pump.trigger();
    return Promise.resolve();
  }
}
