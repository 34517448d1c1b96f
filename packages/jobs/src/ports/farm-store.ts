import { type Actor } from "./audit-store.ts";

/** Since when the farm is paused, and the name of the key that paused it. */
export interface FarmPause {
  pausedAt: Date;
  pausedBy: string;
}

/**
 * Pauses and resumes the farm. While it is paused, no process claims a job; running prompts go on, and jobs are
 * accepted. Both changes are recorded as audit events. Every method throws `StoreUnavailableError` when the database
 * cannot be reached.
 */
export interface FarmStore {
  /** `null` = the farm is not paused. */
  findPause(): Promise<FarmPause | null>;
  /** Once this resolves, no job is claimed. Pausing a paused farm changes nothing. */
  pause(by: Actor): Promise<FarmPause>;
  /** `false` = the farm was not paused. */
  resume(by: Actor): Promise<boolean>;
}
