import { NumberHeap } from "./number-heap.ts";
import { type Scheduler } from "./scheduler.ts";
import { type Workload } from "./workload.ts";

export interface SimulatedRun {
  scheduler: string;
  makespanMs: number;
  loads: number;
  /** When each job was given to its server. */
  startedMs: Float64Array;
  /** The GPU time of each tenant while every tenant had jobs waiting. */
  sharedGpuMs: Float64Array;
  /** What each server ran, job by job; only if asked for. */
  jobsOfServers: number[][];
}

/**
 * Runs all jobs in virtual time, from event to event: arrivals, ends of jobs, and times of the scheduler.
 * @throws when jobs are left that no server takes
 */
export function simulate(
  workload: Workload,
  scheduler: Scheduler,
  options: { keepsOrder?: boolean } = {},
): SimulatedRun {
  const farm = new SimulatedFarm(workload, scheduler, options.keepsOrder ?? false);
  farm.run();
  return farm.result();
}

class SimulatedFarm {
  readonly #work: Workload;
  readonly #scheduler: Scheduler;
  readonly #keepsOrder: boolean;
  readonly #ends = new NumberHeap();
  readonly #idle = new Map<string | number, number[]>();
  readonly #jobOfServer: Int32Array;
  readonly #loadedOfServer: (string | null)[];
  readonly #startedMs: Float64Array;
  readonly #sharedGpuMs: Float64Array;
  readonly #waitingOfTenant: Int32Array;
  readonly #jobsOfServers: number[][];
  #tenantsWaiting = 0;
  #arrived = 0;
  #loads = 0;
  #now = 0;

  constructor(work: Workload, scheduler: Scheduler, keepsOrder: boolean) {
    this.#work = work;
    this.#scheduler = scheduler;
    this.#keepsOrder = keepsOrder;
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
      this.#now = Math.min(nextArrivalMs, this.#ends.firstKey, ownTimeMs);
      if (this.#now === Infinity) break;
      if (ownTimeMs <= this.#now) this.#scheduler.onTime?.(this.#now);
      while (this.#ends.firstKey <= this.#now) this.#end(this.#ends.pop());
      while (this.#arrived < jobs && (arrivalMs[this.#arrived] ?? 0) <= this.#now) this.#arrive();
      this.#startOnIdle();
    }
    if (this.#scheduler.waiting > 0) throw new Error(`${this.#scheduler.waiting} jobs were never taken.`);
  }

  result(): SimulatedRun {
    return {
      scheduler: this.#scheduler.name,
      makespanMs: this.#makespanMs,
      loads: this.#loads,
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
    this.#scheduler.ended?.(server, this.#jobOfServer[server] ?? -1, this.#now);
    this.#jobOfServer[server] = -1;
    this.#addIdle(server);
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
        this.#start(server, job);
      }
      if (servers.length === 0) this.#idle.delete(group);
    }
  }

  #start(server: number, job: number): void {
    const { lanes, laneOfJob, tenantOfJob, runMs, loadMs, weights } = this.#work;
    const model = lanes[laneOfJob[job] ?? 0]?.model ?? null;
    const mustLoad = model !== this.#loadedOfServer[server];
    if (mustLoad) this.#loads += 1;
    this.#loadedOfServer[server] = model;
    const ownRunMs = runMs[job] ?? 0;
    this.#jobOfServer[server] = job;
    this.#startedMs[job] = this.#now;
    this.#ends.push(this.#now + ownRunMs + (mustLoad ? loadMs : 0), server);
    if (this.#keepsOrder) this.#jobsOfServers[server]?.push(job);

    const tenant = tenantOfJob[job] ?? 0;
    if (this.#tenantsWaiting === weights.length) {
      this.#sharedGpuMs[tenant] = (this.#sharedGpuMs[tenant] ?? 0) + ownRunMs;
    }
    const waiting = (this.#waitingOfTenant[tenant] ?? 0) - 1;
    this.#waitingOfTenant[tenant] = waiting;
    if (waiting === 0) this.#tenantsWaiting -= 1;
  }
}
