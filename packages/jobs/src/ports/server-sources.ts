import { type ServerLease, type ServerRecord } from "./server-store.ts";

/**
 * What the sources of servers need to keep beside the servers themselves. Every method throws `StoreUnavailableError`
 * when the database cannot be reached.
 */
export interface ServerSourcesStore {
  /**
   * Lets go of a server that no source of its owner names any more, if no job is on it: it has no owner then, and is
   * removed unless another live worker names it. The row stays for the history of its jobs.
   * @returns false if jobs are on it, or the lease was lost
   */
  letGoServer(workerId: string, lease: ServerLease, leaseMs: number): Promise<boolean>;
  /**
   * The servers, by other sources than the setting, that have jobs and no owner, and that no live worker names: they were
   * being retired when their owner stopped.
   */
  listLeftBehind(leaseMs: number): Promise<ServerRecord[]>;
  /**
   * Removes the servers, by other sources than the setting, that have neither an owner nor jobs and that no worker names
   * which was seen within this time: their last owner could not, because another worker still named them.
   * @returns how many
   */
  removeUnnamed(options: { leaseMs: number; seenWithinMs: number }): Promise<number>;
  /** Records why this worker does not use the servers that its sources name now; `null` = it does. */
  setServersProblem(workerId: string, problem: string | null): Promise<void>;
}
