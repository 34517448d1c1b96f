import { type JobPriority } from "../job/job.ts";

/** Where each band of a lane stands; one in which no ranks were given is missing. */
export type LaneClocks = Partial<Record<JobPriority, LaneClock>>;

export interface LaneClock {
  /** The highest rank that was claimed. */
  claimedRank: number;
  /** The rank from which those of the tickets are counted. */
  base: number;
  /** What sixteen ranks stand for, in milliseconds of GPU time; `null` = one run, and none was measured yet. */
  unitMs: number | null;
}

/** What is known of a lane besides its tickets. */
export interface LaneFacts {
  name: string;
  /** The main model of all its jobs; `null` = they have none. */
  mainModel: string | null;
  /** The mean of its measured executions, without loads; `null` until one was measured. */
  runMs: number | null;
  /** How many executions were measured. */
  runs: number;
  /** How long servers take to load its model; `null` until that was measured in a lane of this model. */
  loadMs: number | null;
  /** When a server last took a job of it, to some seconds. */
  lastServedAt: Date | null;
  /** When this was read, by the clock of `lastServedAt`. */
  readAt: Date;
  /** An operator paused it. */
  pausedAt: Date | null;
  clocks: LaneClocks;
}

/** Measurements of one tenant's jobs in one lane, to be added to what is known of both. */
export interface LaneMeasure {
  lane: string;
  tenantId: string;
  /** How many executions `runMs` is the mean of. */
  runs: number;
  runMs: number;
  /** How many loads `loadMs` is the mean of; it is 0 if there were none. */
  loads: number;
  loadMs: number;
}

/**
 * What the choice of lanes needs to know of them, and what workers learn. Every method throws `StoreUnavailableError`
 * when the database cannot be reached.
 */
export interface LaneServing {
  /** Those of these lanes that have rows. Of the lane `default` only `lastServedAt` is known. */
  readLanes(names: readonly string[]): Promise<LaneFacts[]>;
  /** Adds measurements, at most one for each tenant and lane; recent ones weigh more. */
  addMeasures(measures: readonly LaneMeasure[]): Promise<void>;
  /** Servers took jobs of these lanes just now. */
  noteServed(names: readonly string[]): Promise<void>;
  /**
   * One server is about to leave its model for this lane.
   * @param seenServedAt the lane's `lastServedAt` as the server that decided saw it
   * @returns the lane's new `lastServedAt`; `null` = another was faster, so this one stays
   */
  claimLane(name: string, seenServedAt: Date | null): Promise<Date | null>;
  /**
   * The server that claimed the lane can run none of its first jobs, so another one may go at once. Does nothing if the lane
   * was served meanwhile.
   * @param claimedAt what `claimLane` returned
   */
  giveUpLane(name: string, claimedAt: Date, seenServedAt: Date | null): Promise<void>;
}
