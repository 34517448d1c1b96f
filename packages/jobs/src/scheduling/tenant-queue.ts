import { rankMax, unitsPerRun } from "./rank-step.ts";

/** A tenant's jobs in one lane and one band, as far as ranks need to know them. */
export interface TenantQueue {
  /**
   * Where its last job stands. The job's own rank is the nearest whole number; the fraction stays here, so that jobs which
   * take less than a rank add up. It may be larger than `rankMax`.
   */
  lastRank: number;
  /** The rank before that of the first job of its backlog: of the jobs that followed each other without a pause. */
  begunRank: number;
  /** The sum of the steps of the backlog's jobs. */
  backlogUnits: number;
}

/**
 * The most that a tenant's waiting work moves its next job back: a million units of the lane. So ranks stay far from
 * the largest number that a row can hold, whatever run times were measured.
 */
export const waitingUnitsMax = 2 ** 24;

/** Where waiting work comes to a whole rank but for an error of rounding, it is that rank, here and in SQL. */
export const rankTolerance = 2 ** -10;

export const emptyTenantQueue: TenantQueue = { lastRank: 0, begunRank: 0, backlogUnits: 0 };

/** Jobs of a tenant that come at the same time, in one lane and one band. Units are those of the lane. */
export interface NewJobs {
  /** The sum of their steps. */
  steps: number;
  /** The ranks over which they spread (`spanOf`); at least `steps`. */
  span: number;
}

/**
 * Gives a tenant's next jobs their ranks in a lane and a band: start-time fair queueing. A tenant without waiting jobs
 * begins at the clock, so its first job waits for at most one step of each other tenant, however many jobs the others
 * have. All that it has waiting, in whatever lanes, stands before its next job, so that a tenant does not get a share in
 * each of many lanes.
 * @param clock the highest rank that was claimed in the lane and the band
 * @param waiting the tenant's waiting work in the same band of all lanes, in units of this lane (`unitsOfLane`)
 */
export function extendQueue(queue: TenantQueue, clock: number, waiting: number, added: NewJobs): TenantQueue {
  const afterWaiting = Math.min(clock + Math.floor(waiting + rankTolerance), rankMax);
  const begin = Math.max(queue.lastRank, afterWaiting);
  const goesOn = queue.lastRank > clock;
  return {
    lastRank: begin + added.span,
    begunRank: goesOn ? queue.begunRank : afterWaiting,
    backlogUnits: (goesOn ? queue.backlogUnits : 0) + added.steps,
  };
}

/**
 * The ranks over which jobs spread that come together with others in other lanes: as many as all of them take. So they
 * take turns with these, and a tenant does not get a share in each of the lanes.
 * @param steps the sum of the steps of the lane's jobs
 * @param all the steps in each lane, this one included
 */
export function spanOf(steps: number, all: Iterable<LaneWork>, unitMs: number): number {
  return Math.max(steps, unitsOfLane(all, unitMs));
}

/**
 * The rank of a job that came together with others.
 * @param lastRank that `extendQueue` gives the queue of the job's lane
 * @param workMs the GPU time, by weight, of all jobs that came together, up to this one, whatever their lanes
 */
export function rankInSpan(lastRank: number, span: number, workMs: number, unitMs: number): number {
  const place = lastRank - span + Math.min((workMs * unitsPerRun) / unitMs, span);
  return Math.min(Math.max(Math.round(place), 0), rankMax);
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

/** Work in a lane: ranks of the lane, and what `unitsPerRun` of them stand for. */
export interface LaneWork {
  units: number;
  unitMs: number;
}

/** The work of many lanes in ranks of one lane, in which `unitsPerRun` of them stand for `unitMs`. */
export function unitsOfLane(work: Iterable<LaneWork>, unitMs: number): number {
  let weightedMs = 0;
  for (const { units, unitMs: ofLaneMs } of work) weightedMs += (units * ofLaneMs) / unitsPerRun;
  return Math.min((weightedMs * unitsPerRun) / unitMs, waitingUnitsMax);
}
