import { NumberHeap } from "./number-heap.ts";
import { type PromptBehind, type Scheduler } from "./scheduler.ts";
import { type FarmOptions } from "./simulation-options.ts";
import { type Workload } from "./workload.ts";

export interface SimulatedRun {
  scheduler: string;
  makespanMs: number;
  loads: number;
  /** How many prompts were taken back from busy servers. */
  takenBack: number;
  /** When each job began on its server, with the load of its model. */
  startedMs: Float64Array;
  /** The GPU time of each tenant while every tenant had jobs waiting. */
  sharedGpuMs: Float64Array;
  /** What each server ran, job by job; only if asked for. */
  jobsOfServers: number[][];
}

/** Workers look for prompts to take back at most so often. */
const takeBackPauseMs = 250;

/**
 * Runs all jobs in virtual time, from event to event: arrivals, ends of jobs, take-backs, and times of the scheduler.
 * @throws when jobs are left that no server takes
 */
export function simulate(workload: Workload, scheduler: Scheduler, options: FarmOptions = {}): SimulatedRun {
  const farm = new SimulatedFarm(workload, scheduler, options);
  farm.run();
  return farm.result();
}

class SimulatedFarm {
  readonly #work: Workload;
  readonly #scheduler: Scheduler;
  readonly #options: Required<FarmOptions>;
  readonly #ends = new NumberHeap();
  readonly #idle = new Map<string | number, number[]>();
  readonly #jobOfServer: Int32Array;
  /** The prompts behind running jobs, by server. */
  readonly #behind = new Map<number, number>();
  /** Busy servers without a prompt behind the running job, for longest first. */
  readonly #roomBehind = new Set<number>();
  readonly #loadedOfServer: (string | null)[];
  readonly #startedMs: Float64Array;
  readonly #sharedGpuMs: Float64Array;
  readonly #waitingOfTenant: Int32Array;
  readonly #jobsOfServers: number[][];
  #tenantsWaiting = 0;
  #arrived = 0;
  #loads = 0;
  #takenBack = 0;
  #lookedForPromptsMs = -Infinity;
  #now = 0;

  constructor(work: Workload, scheduler: Scheduler, options: FarmOptions) {
    const { keepsOrder = false, slots = 1, takesBack = false, takeBackMs = 0 } = options;
    this.#work = work;
    this.#scheduler = scheduler;
    this.#options = { keepsOrder, slots, takesBack, takeBackMs };
    this.#jobOfServer = new Int32Array(work.servers).fill(-1);
    this.#loadedOfServer = Array.from({ length: work.servers }, () => null);
    this.#startedMs = new Float64Array(work.jobs).fill(-1);
    this.#sharedGpuMs = new Float64Array(work.weights.length);
    this.#waitingOfTenant = new Int32Array(work.weights.length);
    this.#jobsOfServers = Array.from({ length: keepsOrder ? work.servers : 0 }, () => []);
    for (let server = 0; server < work.servers; server += 1) this.#addIdle(server);
  }

  run(): void {
    const { jobs, arrivalMs } = this.#work;
    for (;;) {
      const nextArrivalMs = this.#arrived < jobs ? (arrivalMs[this.#arrived] ?? 0) : Infinity;
      const ownTimeMs = this.#scheduler.waiting > 0 ? (this.#scheduler.nextTimeMs ?? Infinity) : Infinity;
      this.#now = Math.min(nextArrivalMs, this.#ends.firstKey, ownTimeMs, this.#nextTakeBackMs());
      if (this.#now === Infinity) break;
      if (ownTimeMs <= this.#now) this.#scheduler.onTime?.(this.#now);
      while (this.#ends.firstKey <= this.#now) this.#end(this.#ends.pop());
      while (this.#arrived < jobs && (arrivalMs[this.#arrived] ?? 0) <= this.#now) this.#arrive();
      this.#startOnIdle();
      this.#fillBehind();
      if (this.#nextTakeBackMs() <= this.#now) {
        this.#takeBack();
        this.#fillBehind();
      }
    }
    if (this.#scheduler.waiting > 0) throw new Error(`${this.#scheduler.waiting} jobs were never taken.`);
  }

  result(): SimulatedRun {
    return {
      scheduler: this.#scheduler.name,
      makespanMs: this.#makespanMs,
      loads: this.#loads,
      takenBack: this.#takenBack,
      startedMs: this.#startedMs,
      sharedGpuMs: this.#sharedGpuMs,
      jobsOfServers: this.#jobsOfServers,
    };
  }

  #makespanMs = 0;

  #arrive(): void {
    const tenant = this.#work.tenantOfJob[this.#arrived] ?? 0;
    const waiting = (this.#waitingOfTenant[tenant] ?? 0) + 1;
    this.#waitingOfTenant[tenant] = waiting;
    if (waiting === 1) this.#tenantsWaiting += 1;
    this.#scheduler.arrive(this.#arrived, this.#now);
    this.#arrived += 1;
  }

  #end(server: number): void {
    this.#makespanMs = this.#now;
    const next = this.#behind.get(server);
    this.#scheduler.ended?.(server, this.#jobOfServer[server] ?? -1, this.#now, next === undefined);
    this.#jobOfServer[server] = -1;
    this.#roomBehind.delete(server);
    this.#behind.delete(server);
    if (next === undefined) this.#addIdle(server);
    else this.#begin(server, next, this.#now);
  }

  #addIdle(server: number): void {
    const group = this.#scheduler.groupOf(server);
    const alike = this.#idle.get(group);
    if (alike === undefined) this.#idle.set(group, [server]);
    else alike.push(server);
  }

  #startOnIdle(): void {
    for (const [group, servers] of this.#idle) {
      for (let server = servers[0]; server !== undefined; server = servers[0]) {
        if (this.#scheduler.waiting === 0) return;
        const job = this.#scheduler.take(server, this.#now);
        if (job === -1) break;
        servers.shift();
        this.#noteTaken(job);
        this.#begin(server, job, this.#now);
      }
      if (servers.length === 0) this.#idle.delete(group);
    }
  }

  #fillBehind(): void {
    for (const server of this.#roomBehind) {
      if (this.#scheduler.waiting === 0) return;
      const job = this.#scheduler.takeBehind?.(server, this.#now) ?? -1;
      if (job === -1) continue;
      this.#roomBehind.delete(server);
      this.#behind.set(server, job);
      this.#noteTaken(job);
    }
  }

  /** When empty servers next look for prompts that wait on busy ones, or infinity. */
  #nextTakeBackMs(): number {
    const mayLook = this.#idle.size > 0 && this.#behind.size > 0;
    return mayLook ? Math.max(this.#now, this.#lookedForPromptsMs + takeBackPauseMs) : Infinity;
  }

  /** Without take-backs, empty servers are asked for tickets at the same times, so that runs differ by take-backs alone. */
  #takeBack(): void {
    this.#lookedForPromptsMs = this.#now;
    if (!this.#options.takesBack) return;
    const prompts = [...this.#behind].map(([server, job]): PromptBehind => {
      const runningJob = this.#jobOfServer[server] ?? -1;
      return { job, server, runningJob, runningSinceMs: this.#startedMs[runningJob] ?? 0 };
    });
    const taken = this.#scheduler.takeBack?.([...this.#idle.values()], prompts, this.#now) ?? [];
    const noLongerEmpty = new Set(taken.map(({ to }) => to));
    for (const [group, servers] of this.#idle) {
      const left = servers.filter((server) => !noLongerEmpty.has(server));
      if (left.length === 0) this.#idle.delete(group);
      else this.#idle.set(group, left);
    }
    for (const { job, from, to } of taken) {
      this.#takenBack += 1;
      this.#behind.delete(from);
      this.#roomBehind.add(from);
      this.#begin(to, job, this.#now + this.#options.takeBackMs);
    }
  }

  #begin(server: number, job: number, beginsMs: number): void {
    const { lanes, laneOfJob, runMs, loadMs } = this.#work;
    const model = lanes[laneOfJob[job] ?? 0]?.model ?? null;
    const mustLoad = model !== this.#loadedOfServer[server];
    if (mustLoad) this.#loads += 1;
    this.#loadedOfServer[server] = model;
    this.#jobOfServer[server] = job;
    this.#startedMs[job] = beginsMs;
    this.#ends.push(beginsMs + (runMs[job] ?? 0) + (mustLoad ? loadMs : 0), server);
    if (this.#options.slots > 1) this.#roomBehind.add(server);
    if (this.#options.keepsOrder) this.#jobsOfServers[server]?.push(job);
  }

  #noteTaken(job: number): void {
    const { tenantOfJob, runMs, weights } = this.#work;
    const tenant = tenantOfJob[job] ?? 0;
    if (this.#tenantsWaiting === weights.length) {
      this.#sharedGpuMs[tenant] = (this.#sharedGpuMs[tenant] ?? 0) + (runMs[job] ?? 0);
    }
    const waiting = (this.#waitingOfTenant[tenant] ?? 0) - 1;
    this.#waitingOfTenant[tenant] = waiting;
    if (waiting === 0) this.#tenantsWaiting -= 1;
  }
}
