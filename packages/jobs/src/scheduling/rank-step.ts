/**
 * The step of a job whose run takes as long as its lane's usual run, for a tenant of weight 1. Ranks are counted in such
 * sixteenths, so that weights up to 16 have an effect.
 */
export const unitsPerRun = 16;

/** The largest step: a sixteenth of what a ticket's priority can tell apart. */
export const stepMax = 4_096;

/** The GPU time that one usual run takes in a lane without measurements. */
export const unmeasuredRunMs = 1_000;

/** What decides a job's step. */
export interface StepFacts {
  /** How long the tenant's jobs of this kind run, measured or expected. */
  runMs: number;
  /** How long jobs of the lane usually run. */
  laneRunMs: number;
  /** A tenant of weight 2 gets twice the GPU time of one of weight 1. */
  weight: number;
}

/**
 * How far a job moves its tenant's next job back in the lane: its GPU time ÷ the tenant's weight, in sixteenths of the
 * lane's usual run. Units are those of the lane, so that a later measurement changes no rank that was given before: in a
 * lane of eight-minute videos a step of 16 is one video, and in a lane of two-second images it is one image.
 */
export function rankStep({ runMs, laneRunMs, weight }: StepFacts): number {
  const step = Math.round((unitsPerRun * runMs) / laneRunMs / weight);
  return Math.min(Math.max(step, 1), stepMax);
}

/** How far a job's tenant is ahead of its share: the GPU time between the lane's clock and the job's rank. */
export function aheadMs(rank: number, clock: number, laneRunMs: number): number {
  return (Math.max(rank - clock, 0) * laneRunMs) / unitsPerRun;
}
