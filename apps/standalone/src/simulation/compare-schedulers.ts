import { LaneScheduler } from "./lane-scheduler.ts";
import { FirstInFirstOut, ShortestQueue } from "./plain-schedulers.ts";
import { simulate, type SimulatedRun } from "./simulate.ts";
import { farmOptions, type SimulationOptions } from "./simulation-options.ts";
import { lowerBoundMs, makeWorkload, type Workload } from "./workload.ts";

export interface Comparison {
  workload: Workload;
  lowerBoundMs: number;
  runs: SimulatedRun[];
}

/** Runs the same work by Genga's scheduling, first-in-first-out, and shortest-queue. */
export function compareSchedulers(options: SimulationOptions): Comparison {
  const workload = makeWorkload(options);
  // One after the other, so that only one of them is in memory.
  const runs = [
    () => new LaneScheduler(workload, options),
    () => new FirstInFirstOut(workload),
    () => new ShortestQueue(workload),
  ].map((makeScheduler) => simulate(workload, makeScheduler(), farmOptions(options)));
  return { workload, lowerBoundMs: lowerBoundMs(workload), runs };
}
