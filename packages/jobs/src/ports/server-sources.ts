import { type Actor } from "./audit-store.ts";
import { type ServerLease, type ServerRecord } from "./server-store.ts";

/** A server that an operator adds by the API. */
export interface NewAddedServer {
  /** Its identity. */
  url: string;
  slots: number;
  labels: readonly string[];
  /** The name of its credentials in the servers file of the workers. */
  credential: string | null;
  /** Encrypts the header `Authorization` for the row with this id; `null` = none is given. */
  seal: ((serverId: string) => Uint8Array) | null;
}

/** A server that an operator added by the API. */
export interface AddedServer extends Omit<NewAddedServer, "seal"> {
  id: string;
  sealedAuthorization: Uint8Array | null;
  /** An operator removed it, and it may still have jobs. */
  isRemoved: boolean;
}

/** To which row the header `Authorization` of a server is bound when it is encrypted. */
export function serverAuthorizationIdentity(serverId: string): string {
  return `servers/${serverId}/authorization`;
}

/**
 * What the sources of servers need to keep beside the servers themselves. Every method throws `StoreUnavailableError`
 * when the database cannot be reached.
 */
export interface ServerSourcesStore {
  /**
   * Lets go of a server that no source of its owner names any more, if no job is on it: it has no owner then, and is
   * removed unless another live worker names it or an operator has added it. The row stays for the history of its jobs.
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
   * which was seen within this time: their last owner could not, because another worker still named them. Those that
   * operators added stay until an operator takes them out; then their credentials go, too.
   * @returns how many
   */
  removeUnnamed(options: { leaseMs: number; seenWithinMs: number }): Promise<number>;
  /**
   * Removes the rows of servers that have not been listed for so long, that no attempt of a job names, and whose prompts are
   * forgotten. A server that is named again afterwards is a new one.
   * @returns how many; at most 1,000
   */
  forgetServers(unlistedMs: number): Promise<number>;
  /**
   * Adds a server, for all workers that take servers of the API; recorded as an audit event.
   * @param limits.countMax how many added servers the farm may have
   * @returns `taken`: a source names it already, or it was added before, or a worker named it last and none is alive; `full`: the farm has as many as it may have
   */
  addServer(
    server: NewAddedServer,
    by: Actor,
    limits: { leaseMs: number; countMax: number },
  ): Promise<{ id: string } | "taken" | "full">;
  /**
   * Takes a server out that was added; recorded as an audit event. What it has ends there first.
   * @returns false if it was not added, or is gone already; true, without another event, while it ends what it has
   */
  removeAdded(serverId: string, by: Actor): Promise<boolean>;
  /** The added servers, and those that were taken out and may still have jobs. */
  listAdded(): Promise<AddedServer[]>;
  /** A text that is another one whenever `listAdded` would give something else. */
  revisionOfAdded(): Promise<string>;
  /** Records why this worker does not use the servers that its sources name now; `null` = it does. */
  setServersProblem(workerId: string, problem: string | null): Promise<void>;
}
