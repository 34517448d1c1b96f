/** What a choice of lanes needs to know of the server that chooses. Times are milliseconds by one clock. */
export interface SchedulingServer {
  /** What its last claimed job loads; `null` = it has loaded nothing, or has restarted since. */
  loadedModel: string | null;
  /** The lane of its last claimed job. */
  lane: string | null;
  /**
   * When it claimed the first job of the model that it has loaded, or of the lane, if that always loads. It has served
   * no other model since.
   */
  modelSinceMs: number | null;
  /** Since when it has had no job at all; `null` = it has one. */
  idleSinceMs: number | null;
  /** `false` for the second slot, behind a running job: that slot stays empty when the server is about to load. */
  mayLoad: boolean;
  /** Whether the server has all that jobs of the lane need. */
  isEligible: (lane: string) => boolean;
}

/** The ticket that a lane would hand out next. */
export interface FirstTicket {
  /** The band that it waits in, 0 (urgent) to 3 (low): `readTicketPriority(…).band`. */
  band: number;
  /** The band of the job's own priority: `readTicketPriority(…).ownBand`. It differs if the job has aged. */
  ownBand: number;
  /** How far its tenant is ahead of its share in this lane, in milliseconds of GPU time (`aheadMs`); 0 if unknown. */
  aheadMs: number;
}

/** What a choice of lanes needs to know of a lane. */
export interface LaneState {
  name: string;
  /** `null` = its jobs need no model, so any server runs them and keeps what it has loaded. */
  model: string | null;
  /** Jobs of many models share the lane, so that each of them is likely to load one (the lane `default`). */
  alwaysLoads: boolean;
  /** How many tickets wait in it: the exact number, also when it is large. */
  waiting: number;
  /** How many of them wait in the band of the first one. */
  waitingInBand: number;
  head: FirstTicket | null;
  /**
   * Since when tickets have waited in it without a break, but not before the farm or the lane was last resumed, nor
   * before the farm began to serve.
   */
  waitingSinceMs: number;
  /** When a job of it was last claimed; 0 = never. */
  lastServedAtMs: number;
  /** The mean of its measured executions, without loads. */
  runMs: number;
  /** The mean of its measured loads. */
  loadMs: number;
  isPaused: boolean;
  /** How many other servers took their last job from it and are not done with it, or have it loaded and stand empty. */
  servers: number;
  /** How many other servers are eligible for it and take work, whatever they do now. */
  eligible: number;
  /** How many other servers are eligible for it, take work, and have its model loaded or are loading it. */
  ready: number;
}

export interface LaneSettings {
  /** How long a lane may have waiting tickets before a server leaves its model for it (LANE_PATIENCE_MS). */
  patienceMs: number;
  /** How many times the load time of its model a server stays before it leaves for an overdue lane. */
  stayLoads: number;
}

/**
 * A stay of eight loads costs at most an eighth of a farm's time in loads when all lanes are overdue, and thereby keeps
 * a backlog within 1.15 of the best makespan.
 */
export const defaultLaneSettings: LaneSettings = { patienceMs: 60_000, stayLoads: 8 };
