import { agedBandsMax, jobPriorities, jobThatAges, type WaitingJob } from "@genga/jobs";
import { NumberHeap } from "./number-heap.ts";
import { bandCount } from "./lane-queue.ts";

interface AgeingJob extends WaitingJob {
  job: number;
}

interface Group {
  tenant: number;
  lane: number;
  band: number;
  /** In the order in which they came into the band. */
  jobs: AgeingJob[];
  /** Of the first job that has neither begun nor moved. */
  first: number;
  lastAgedAtMs: number | null;
  isTimed: boolean;
}

/** Finds the jobs that move up a band, by the product's rule, when their time has come. */
export class AgeingQueues {
  readonly #lanes: number;
  readonly #ageingMs: number;
  readonly #groups = new Map<number, Group>();
  readonly #times = new NumberHeap();
  readonly #isStillIn: (job: number, lane: number, band: number) => boolean;

  /** @param isStillIn whether a job waits in a lane and a band */
  constructor(
    lanes: number,
    ageingMs: number,
    isStillIn: (job: number, lane: number, band: number) => boolean,
  ) {
    this.#lanes = lanes;
    this.#ageingMs = ageingMs;
    this.#isStillIn = isStillIn;
  }

  get nextTimeMs(): number {
    return this.#times.firstKey;
  }

  add(
    job: number,
    at: { tenant: number; lane: number; band: number },
    ownBand: number,
    inBandSinceMs: number,
  ): void {
    const priority = jobPriorities[ownBand] ?? "normal";
    const agedBands = ownBand - at.band;
    if (agedBands >= agedBandsMax(priority)) return;
    const key = (at.tenant * this.#lanes + at.lane) * bandCount + at.band;
    const group = this.#groups.get(key) ?? { ...at, jobs: [], first: 0, lastAgedAtMs: null, isTimed: false };
    this.#groups.set(key, group);
    group.jobs.push({ job, priority, agedBands, inBandSinceMs });
    if (!group.isTimed) this.#setTime(key, group);
  }

  /** Jobs whose time has come, each with where it waits; they are no longer kept here. */
  *due(now: number): Generator<{ job: number; tenant: number; lane: number; band: number }> {
    while (this.#times.firstKey <= now) {
      const key = this.#times.pop();
      const group = this.#groups.get(key);
      if (group === undefined) continue;
      group.isTimed = false;
      this.#skipGone(group);
      const oldest = group.jobs.slice(group.first, group.first + 1);
      const aged = jobThatAges(oldest, group.lastAgedAtMs, now, this.#ageingMs);
      if (aged !== null) {
        group.first += 1;
        group.lastAgedAtMs = now;
        yield { job: aged.job, tenant: group.tenant, lane: group.lane, band: group.band };
      }
      this.#setTime(key, group);
    }
  }

  #setTime(key: number, group: Group): void {
    this.#skipGone(group);
    const oldest = group.jobs[group.first];
    if (oldest === undefined) return;
    const since = Math.max(oldest.inBandSinceMs, group.lastAgedAtMs ?? -Infinity);
    group.isTimed = true;
    // A whole millisecond later, since sums of fractions are not exact.
    this.#times.push(Math.floor(since + this.#ageingMs) + 1, key);
  }

  #skipGone(group: Group): void {
    for (let job = group.jobs[group.first]; job !== undefined; job = group.jobs[group.first]) {
      if (this.#isStillIn(job.job, group.lane, group.band)) return;
      group.first += 1;
    }
    group.jobs = [];
    group.first = 0;
  }
}
