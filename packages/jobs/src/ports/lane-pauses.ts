import { type Actor } from "./audit-store.ts";

/** Since when a lane is paused, and the name of the key that paused it. */
export interface LanePause {
  pausedAt: Date;
  pausedBy: string;
}

/**
 * Pauses and resumes single lanes. While a lane is paused, no process claims a job of it; running prompts go on, and
 * jobs are accepted into it. Both changes are recorded as audit events. Every method throws `StoreUnavailableError`
 * when the database cannot be reached.
 */
export interface LanePauses {
  /** Once this resolves, no job of the lane is claimed. Pausing a paused lane changes nothing. `null` = no such lane. */
  pauseLane(name: string, by: Actor): Promise<LanePause | null>;
  /** `false` = there is no such lane. */
  resumeLane(name: string, by: Actor): Promise<boolean>;
}
