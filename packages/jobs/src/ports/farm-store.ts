import { type Actor } from "./audit-store.ts";

/** Since when an operator keeps the farm from beginning anything new, and the name of the operator's key. */
export interface FarmPause {
  pausedAt: Date;
  pausedBy: string;
}

/**
 * What an operator asked of the whole farm. While it is paused no job is claimed, in whatever process; running prompts go
 * on, and jobs are accepted. Both changes are recorded as audit events.
 * Every method throws `StoreUnavailableError` when the database cannot be reached.
 */
export interface FarmStore {
  /** `null` = the farm is not paused. */
  findPause(): Promise<FarmPause | null>;
  /** Resolves once nothing new is claimed. A farm that is paused already stays as it is. */
  pause(by: Actor): Promise<FarmPause>;
  /** `false` = it was not paused. */
  resume(by: Actor): Promise<boolean>;
}
