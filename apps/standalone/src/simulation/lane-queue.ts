import { unmeasuredRunMs, type LaneFirst, type LaneState } from "@genga/jobs";
import { NumberHeap } from "./number-heap.ts";
import { type SimulatedLane } from "./workload.ts";

export const bandCount = 4;

/** Ranks within a band are smaller than this. */
const bandKeys = 2 ** 48;

/** Where a waiting job stands. */
export interface QueuedJob {
  /** The band that it waits in. */
  band: number;
  /** The band of its priority. */
  ownBand: number;
  rank: number;
}

interface CachedState {
  state: LaneState;
  aheadMs: number;
  changes: number;
}

/** The mean of measured runs; recent ones count more. */
class MeanRun {
  /** `null` = none was measured. */
  ms: number | null = null;
  #measured = 0;

  add(runMs: number): void {
    this.#measured += 1;
    this.ms = this.ms === null ? runMs : this.ms + (runMs - this.ms) / Math.min(this.#measured, 20);
  }
}

/** The waiting jobs of one lane: what BullMQ is to the product. */
export class LaneQueue {
  readonly lane: SimulatedLane;
  /** The highest rank that was taken, by band. */
  readonly clocks = new Float64Array(bandCount);
  lastServedAtMs: number;
  /** Whether `first` may have another answer than when this was last set to false. */
  firstMayDiffer = true;
  #waitingSinceMs: number;
  readonly #loadMs: number;
  readonly #waitingInBand = new Int32Array(bandCount);
  readonly #heap = new NumberHeap();
  readonly #jobs = new Map<number, QueuedJob>();
  readonly #runs = new MeanRun();
  readonly #runsOfTenants = new Map<number, MeanRun>();
  #unitMs: number | null = null;
  readonly #group: string;
  #servers = 0;
  /** Grows with each change of what `state` says of the lane itself. */
  #changes = 0;
  readonly #states: CachedState[] = [];

  constructor(lane: SimulatedLane, loadMs: number, servedAtMs: number) {
    this.lane = lane;
    this.#loadMs = loadMs;
    this.#group = `${lane.model} ${lane.lowestKind}`;
    this.lastServedAtMs = servedAtMs;
    this.#waitingSinceMs = servedAtMs;
  }

  /** Servers whose last job came from here, and which are not done. */
  get servers(): number {
    return this.#servers;
  }

  set servers(count: number) {
    this.#servers = count;
    this.#changes += 1;
  }

  get waiting(): number {
    return this.#jobs.size;
  }

  /** `null` = no run was measured. */
  get measuredRunMs(): number | null {
    return this.#runs.ms;
  }

  /** How long a run usually takes, as far as it is known. */
  get runMs(): number {
    return this.#runs.ms ?? unmeasuredRunMs;
  }

  /** What sixteen ranks stand for: the mean of the runs when the first was measured. */
  get unitMs(): number {
    return this.#unitMs ?? this.runMs;
  }

  /** How long a tenant's jobs run here, as far as it is known. */
  runMsOf(tenant: number): number {
    return this.#runsOfTenants.get(tenant)?.ms ?? this.runMs;
  }

  /** @param since when the job began to wait, if that is not now */
  add(job: number, position: QueuedJob, since: number): void {
    if (this.#jobs.size === 0) this.#waitingSinceMs = since;
    this.#noteChange();
    this.#jobs.set(job, position);
    this.#count(position.band, 1);
    this.#heap.push(keyOf(position), job);
  }

  find(job: number): QueuedJob | undefined {
    return this.#jobs.get(job);
  }

  /** Moves a waiting job to another place. */
  move(job: number, position: QueuedJob): void {
    const old = this.#jobs.get(job);
    if (old === undefined) return;
    this.#noteChange();
    this.#count(old.band, -1);
    this.#count(position.band, 1);
    this.#jobs.set(job, position);
    this.#heap.push(keyOf(position), job);
  }

  /** Takes the first job; the clock of its band follows. */
  takeFirst(now: number): number {
    const head = this.#head();
    const job = this.#heap.pop();
    if (head === null) return -1;
    this.#noteChange();
    this.#jobs.delete(job);
    this.#count(head.band, -1);
    this.clocks[head.band] = Math.max(this.clocks[head.band] ?? 0, head.rank);
    this.lastServedAtMs = now;
    return job;
  }

  measure(tenant: number, runMs: number): void {
    this.#runs.add(runMs);
    this.#changes += 1;
    if (this.#unitMs === null) this.firstMayDiffer = true;
    this.#unitMs ??= this.runMs;
    const ofTenant = this.#runsOfTenants.get(tenant) ?? new MeanRun();
    this.#runsOfTenants.set(tenant, ofTenant);
    ofTenant.add(runMs);
  }

  /** What `LaneTurns` is told; `null` = nothing waits. */
  first(): LaneFirst | null {
    const head = this.#head();
    if (head === null) return null;
    const { band, rank } = head;
    return {
      lane: this.lane.name,
      group: this.#group,
      band,
      rank,
      clock: this.clocks[band] ?? 0,
      unitMs: this.#runs.ms === null ? null : this.unitMs,
    };
  }

  /**
   * What `chooseLane` is told. The same object as before if nothing has changed.
   * @param eligible other servers that are eligible for it
   * @param ready those of them that have its model
   * @param aheadMs what `LaneTurns` says of its first job
   * @param kind a small number, equal for servers that are likely to be told the same
   */
  state(eligible: number, ready: number, aheadMs: number, kind: number): LaneState {
    const known = this.#states[kind];
    if (
      known?.changes === this.#changes &&
      known.state.eligible === eligible &&
      known.state.ready === ready &&
      known.aheadMs === aheadMs
    )
      return known.state;
    const state = this.#freshState(eligible, ready, aheadMs);
    this.#states[kind] = { state, aheadMs, changes: this.#changes };
    return state;
  }

  #freshState(eligible: number, ready: number, aheadMs: number): LaneState {
    const head = this.#head();
    const { name, model } = this.lane;
    return {
      name,
      model,
      alwaysLoads: false,
      waiting: this.#jobs.size,
      waitingInBand: head === null ? 0 : (this.#waitingInBand[head.band] ?? 0),
      head: head && {
        band: head.band,
        ownBand: head.ownBand,
        aheadMs,
      },
      waitingSinceMs: this.#waitingSinceMs,
      lastServedAtMs: this.lastServedAtMs,
      runMs: this.runMs,
      loadMs: this.#loadMs,
      isPaused: false,
      servers: this.servers,
      eligible,
      ready,
    };
  }

  #noteChange(): void {
    this.#changes += 1;
    this.firstMayDiffer = true;
  }

  /** The first entry of the heap that is still true; older places of moved jobs are dropped. */
  #head(): QueuedJob | null {
    for (;;) {
      const position = this.#jobs.get(this.#heap.first);
      if (position !== undefined && keyOf(position) === this.#heap.firstKey) return position;
      if (this.#heap.size === 0) return null;
      this.#heap.pop();
    }
  }

  #count(band: number, change: number): void {
    this.#waitingInBand[band] = (this.#waitingInBand[band] ?? 0) + change;
  }
}

function keyOf({ band, rank }: QueuedJob): number {
  return band * bandKeys + rank;
}
