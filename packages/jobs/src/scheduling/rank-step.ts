/**
 * The ranks that one run of the unit takes (`StepFacts.unitMs`), for a tenant of weight 1: a rank is a sixteenth of the unit.
 * Tickets cannot tell apart what is closer than that.
 */
export const unitsPerRun = 16;

/** A job moves its tenant back by at least this, however short it is: 16,384 times as short as the unit. */
export const stepMin = 2 ** -10;

/** And by at most this: 262,144 units. So the ranks of a few hundred jobs always fit into the column of a row. */
export const stepMax = 2 ** 22;

/** The largest rank that a row can hold. All jobs beyond it have this one. */
export const rankMax = 2 ** 31 - 1;

/** The GPU time that one usual run takes in a lane without measurements. */
export const unmeasuredRunMs = 1_000;

/** What decides a job's step. */
export interface StepFacts {
  /** How long the tenant's jobs run in the lane: their mean; where none was measured, the mean of the whole lane. */
  runMs: number;
  /**
   * What `unitsPerRun` ranks stand for in the lane and the band. It is the mean of the lane's runs when the first of them
   * were measured, and does not change as long as jobs wait, so that a later measurement changes no rank that was given.
   */
  unitMs: number;
  /** A tenant of weight 2 gets twice the GPU time of one of weight 1. */
  weight: number;
}

/**
 * How far a job moves its tenant's next job back in the lane: its GPU time ÷ the tenant's weight, in ranks. It may be a
 * fraction of one: a job of two seconds in a lane whose unit is eight minutes.
 */
export function rankStep({ runMs, unitMs, weight }: StepFacts): number {
  return Math.min(Math.max((unitsPerRun * runMs) / unitMs / weight, stepMin), stepMax);
}

/** How far a job's tenant is ahead of its share: the GPU time between the lane's clock and the job's rank. */
export function aheadMs(rank: number, clock: number, unitMs: number): number {
  return (Math.max(rank - clock, 0) * unitMs) / unitsPerRun;
}
