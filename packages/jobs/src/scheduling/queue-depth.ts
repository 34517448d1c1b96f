/** What is known of the runs of a lane. */
export interface LaneRuns {
  /** The mean of the measured executions; `null` = none was measured. */
  runMs: number | null;
  /** How many were measured. */
  runs: number;
}

/** A lane of shorter runs may have more prompts on a server than the server has slots. */
const shortRunMs = 100;
/** As many measurements make a lane known as short. */
const runsMin = 5;
/** The most prompts on one server. */
const promptsMax = 16;
/** The prompts beyond the server's slots are worth this much work at most. */
const extraWorkMs = 500;

/** Whether the jobs of a lane are known to be so short that a server would wait for its next prompt after each. */
export function areShort({ runMs, runs }: LaneRuns): boolean {
  return runMs !== null && runs >= runsMin && runMs < shortRunMs;
}

/** A prompt that executes for longer than this is not short, whatever its lane usually takes. */
export function isLate(executingMs: number): boolean {
  return executingMs >= shortRunMs;
}

/** What decides how many prompts a server may hold. */
export interface DepthFacts {
  /** As configured. */
  slots: number;
  /**
   * How long it lately took from the end of a prompt on this server until the next one was there; `null` = not measured
   * since the server has loaded what it has loaded, so there may still be a load before the first end.
   */
  refillMs: number | null;
}

/**
 * How many prompts a server may hold if the last of them is of the lane `runs` and only short jobs stand before it.
 *
 * With `slots` prompts a server that ends one every few milliseconds stands idle until the next one has made its way. So
 * it gets as many more as it ends in that time. Work that waits on one server cannot be done by another, hence the
 * bounds: at most 16 prompts, and the further ones are worth half a second at most.
 */
export function promptsAllowed({ slots, refillMs }: DepthFacts, runs: LaneRuns): number {
  if (refillMs === null || runs.runMs === null || !areShort(runs)) return slots;
  // A run is at least a millisecond: the server also takes time between two prompts.
  const runMs = Math.max(runs.runMs, 1);
  const further = Math.min(Math.ceil(refillMs / runMs), Math.floor(extraWorkMs / runMs));
  return Math.max(slots, Math.min(slots + further, promptsMax));
}
