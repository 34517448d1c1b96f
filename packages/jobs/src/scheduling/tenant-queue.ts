import { unitsPerRun } from "./rank-step.ts";

/** A tenant's jobs in one lane and one band, as far as ranks need to know them. */
export interface TenantQueue {
  /** The rank of its last job. */
  lastRank: number;
  /** The rank before that of the first job of its backlog: of the jobs that followed each other without a pause. */
  begunRank: number;
  /** The sum of the steps of the backlog's jobs. */
  backlogUnits: number;
}

/**
 * The most that work in other lanes moves a tenant's first job back: a million usual runs of the lane. So ranks stay far
 * from the largest number that a row can hold, whatever run times were measured.
 */
export const elsewhereUnitsMax = 2 ** 24;

export const emptyTenantQueue: TenantQueue = { lastRank: 0, begunRank: 0, backlogUnits: 0 };

/**
 * Gives a tenant's next jobs their ranks in a lane and a band: start-time fair queueing. A tenant without waiting jobs
 * begins at the clock, so its first job waits for at most one step of each other tenant, however many jobs the others
 * have. What it has waiting in other lanes counts as if it stood before its first job here, so that a tenant does not
 * get a share in each of many lanes.
 * @param clock the highest rank that was claimed in the lane and the band
 * @param elsewhere the tenant's waiting work in the same band of other lanes, in units of this lane (`unitsElsewhere`)
 * @param steps the sum of the jobs' steps; the last job gets the new `lastRank`
 */
export function extendQueue(
  queue: TenantQueue,
  clock: number,
  elsewhere: number,
  steps: number,
): TenantQueue {
  const begin = Math.max(queue.lastRank, clock + elsewhere);
  const goesOn = queue.lastRank > clock;
  return {
    lastRank: begin + steps,
    begunRank: goesOn ? queue.begunRank : begin,
    backlogUnits: (goesOn ? queue.backlogUnits : 0) + steps,
  };
}

/**
 * The part of the backlog that the clock has not passed, in units. The ranks may have gaps, so this is the part by
 * ranks of the sum of all steps: nobody has to count the jobs that begin. It is too high after jobs were cancelled,
 * until the clock has passed their ranks.
 */
export function waitingUnits({ lastRank, begunRank, backlogUnits }: TenantQueue, clock: number): number {
  if (lastRank <= clock || lastRank <= begunRank) return 0;
  return (backlogUnits * (lastRank - Math.max(clock, begunRank))) / (lastRank - begunRank);
}

/**
 * A tenant's waiting work in other lanes, in units of the lane whose jobs usually run for `laneRunMs`.
 * @param others `units` of each lane as `waitingUnits` counts them, and how long its jobs usually run
 */
export function unitsElsewhere(
  others: Iterable<{ units: number; runMs: number }>,
  laneRunMs: number,
): number {
  let weightedMs = 0;
  for (const { units, runMs } of others) weightedMs += (units * runMs) / unitsPerRun;
  return Math.min(Math.floor((weightedMs * unitsPerRun) / laneRunMs), elsewhereUnitsMax);
}
