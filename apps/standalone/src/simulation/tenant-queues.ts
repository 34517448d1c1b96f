import {
  emptyTenantQueue,
  extendQueue,
  rankStep,
  unitsOfLane,
  waitingUnits,
  type LaneWork,
  type TenantQueue,
} from "@genga/jobs";
import { bandCount, type LaneQueue } from "./lane-queue.ts";

/** Gives ranks to jobs by the product's rules, as `reserveRanks` does in SQL. */
export class TenantQueues {
  readonly #lanes: readonly LaneQueue[];
  readonly #weights: readonly number[];
  /** By tenant and band, and in these by lane. */
  readonly #queues = new Map<number, Map<number, TenantQueue>>();

  constructor(lanes: readonly LaneQueue[], weights: readonly number[]) {
    this.#lanes = lanes;
    this.#weights = weights;
  }

  nextRank(tenant: number, lane: number, band: number): number {
    const own = this.#lanes[lane];
    if (own === undefined) throw new Error(`There is no lane ${lane}.`);
    const queues = this.#of(tenant, band);
    const waiting: LaneWork[] = [];
    for (const [index, queue] of queues) {
      const of = this.#lanes[index];
      if (of === undefined) continue;
      const units = waitingUnits(queue, of.clocks[band] ?? 0);
      if (units > 0) waiting.push({ units, unitMs: of.unitMs });
    }
    const step = rankStep({
      ...{ runMs: own.runMsOf(tenant), unitMs: own.unitMs },
      weight: this.#weights[tenant] ?? 1,
    });
    const queue = extendQueue(
      queues.get(lane) ?? emptyTenantQueue,
      own.clocks[band] ?? 0,
      unitsOfLane(waiting, own.unitMs),
      { steps: step, span: step },
    );
    queues.set(lane, queue);
    return Math.round(queue.lastRank);
  }

  #of(tenant: number, band: number): Map<number, TenantQueue> {
    const key = tenant * bandCount + band;
    const known = this.#queues.get(key) ?? new Map<number, TenantQueue>();
    this.#queues.set(key, known);
    return known;
  }
}
