import { type Actor } from "./audit-store.ts";
/** How a server is doing, as its owner last saw it. */
export const serverStates = ["unknown", "online", "probing", "unreachable", "wedged", "failing"] as const;
export type ServerState = (typeof serverStates)[number];

/** How a server is shown: what its last owner saw counts only while a worker owns it. */
export const shownServerStates = [...serverStates, "unowned", "retired"] as const;
export type ShownServerState = (typeof shownServerStates)[number];

/** A server on probation takes work as well, one job at a time. */
export function takesWork(state: ShownServerState): boolean {
  return state === "online" || state === "probing";
}

/** What a ComfyUI server can that not every one can. */
export interface ServerAbilities {
  /** It ends a prompt by its id, wherever the prompt is, in one step. */
  cancelsById: boolean;
  /** Its previews name the prompt and the node that they are of. */
  namesPreviews: boolean;
  /** It replaces nodes of classes that it no longer has. */
  replacesNodes: boolean;
  /** It knows files by their content. */
  hasAssets: boolean;
  /** Longest request that it takes; `null` = it does not say. */
  uploadBytesMax: number | null;
}

/**
 * What a server can run: what it answered to `/object_info`, without lists of files, and of servers that replace nodes to
 * `/node_replacements`. JSON, which whoever reads it parses.
 */
export interface StoredDefinitions {
  objectInfo: unknown;
  /** `null`: the server replaces nothing. */
  replacements: unknown;
}

/** One ComfyUI process at one URL. */
export interface ServerRecord {
  id: string;
  /** Its identity: origin and path, and of a loopback address its machine's name behind `#`. Holds no secret. */
  url: string;
  slots: number;
  state: ServerState;
  /** Why it is not online, in words for an operator. */
  stateReason: string | null;
  stateSince: Date;
  /** An operator asked that it take no new work. */
  draining: boolean;
  ownerId: string | null;
  leaseNumber: number;
  /** Its owner's lease has not run out, by the store's clock. */
  isLeased: boolean;
  /** When the last lease ends or ended; `null` = it was released, or nobody has owned it yet. */
  leaseExpiresAt: Date | null;
  /** Identifies its node definitions; equal for servers with the same nodes and models. */
  definitionsHash: string | null;
  /** ComfyUI's own version, for example `0.28.0`. */
  version: string | null;
  /** `null` until it was probed. */
  abilities: ServerAbilities | null;
  /** An operator removed it, and no worker has named it since. */
  isRemoved: boolean;
  /** Jobs that hold or wait for one of its slots right now (`saving` no longer does). */
  jobsHeld: number;
}

/** A worker process, as it last made itself known. */
export interface WorkerRecord {
  id: string;
  startedAt: Date;
  lastSeenAt: Date;
  /** The servers that its configuration names; none = it is of an earlier version and does not say. */
  serverIds: string[];
  /** Where it tells how it is (`/health`, `/metrics`), as far as it says. */
  statusUrl: string | null;
  /** Seen within the length of a lease, and not stopped. */
  isAlive: boolean;
  /** How many jobs it holds the lease of. */
  jobsHeld: number;
  /** How many servers it holds the lease of. */
  serversOwned: number;
}

/** A worker's claim on a server. */
export interface ServerLease {
  serverId: string;
  leaseNumber: number;
}

/**
 * Who owns which ComfyUI server, and what each can run. One worker owns a server at a time.
 * Every method throws `StoreUnavailableError` when the database cannot be reached.
 */
export interface ServerStore {
  /**
   * Gives rows of earlier versions the URL that `identityOf` says: those had users and passwords in it, and several
   * spellings. Of several rows of one server, the one in use keeps its place, and the others are set aside (their URLs end
   * with `#earlier-…`), since jobs and attempts name them.
   * @returns how many rows were changed
   */
  cleanServerUrls(identityOf: (url: string) => string): Promise<number>;
  /** Makes sure that these servers have rows (by URL), with these slots; returns them in the given order. */
  registerServers(servers: { url: string; slots: number }[]): Promise<ServerRecord[]>;
  /**
   * Says that this worker lives, and which servers its configuration names; returns how many workers live (seen within
   * `leaseMs`), itself included.
   * @param statusUrl where it tells how it is
   */
  renewWorker(
    workerId: string,
    serverIds: string[],
    leaseMs: number,
    statusUrl?: string | null,
  ): Promise<number>;
  /** The workers that live: seen within `leaseMs`, by the store's clock, and not stopped. */
  listLiveWorkers(leaseMs: number): Promise<WorkerRecord[]>;
  /** Those as well that stopped or died within `seenWithinMs`. */
  listRecentWorkers(leaseMs: number, seenWithinMs: number): Promise<WorkerRecord[]>;
  /** A worker that stops is no longer counted among the living. */
  stopWorker(workerId: string): Promise<void>;
  /** Takes up to `limit` of these servers whose lease is free or expired; raises their lease numbers. */
  acquireServers(
    workerId: string,
    serverIds: string[],
    limit: number,
    leaseMs: number,
  ): Promise<(ServerLease & { server: ServerRecord })[]>;
  /** One statement renews all; what does not come back was lost. */
  renewServers(workerId: string, leases: ServerLease[], leaseMs: number): Promise<ServerLease[]>;
  /** The servers are free at once, and their state is `unknown` until their next owners have looked. */
  releaseServers(workerId: string, leases: ServerLease[]): Promise<void>;
  /** Fenced by the server's lease; `false` = not ours any more. */
  setServerState(lease: ServerLease, state: ServerState, reason: string | null): Promise<boolean>;
  /** Fenced likewise. */
  describeServer(
    lease: ServerLease,
    about: { version: string | null; abilities: ServerAbilities },
  ): Promise<boolean>;
  /** Stores node definitions once by content, and names them in the server's row. Fenced likewise. */
  saveDefinitions(lease: ServerLease, definitions: StoredDefinitions & { hash: string }): Promise<boolean>;
  /**
   * Removes definitions that no server's row has named for so long. The time is for processes that have just read a row and
   * are about to read its definitions; one that is about to name a set of definitions keeps it alive.
   */
  removeUnusedDefinitions(unusedMs: number): Promise<number>;
  /** All servers; a server is *known* once it has a `definitionsHash`. */
  listServers(): Promise<ServerRecord[]>;
  /** Node definitions by content hash. */
  findDefinitions(hash: string): Promise<StoredDefinitions | null>;
  /**
   * Removes a server that no worker owns, and that none which was seen within `seenWithinMs` names, while some worker
   * lives; recorded as an audit event. Its row stays for the history of its jobs; a worker that names it again brings it
   * back.
   */
  removeServer(
    serverId: string,
    times: { leaseMs: number; seenWithinMs: number },
    by: Actor,
  ): Promise<"removed" | "in-use" | "absent">;
  /** Whether a server takes new work; recorded as an audit event. `false` = there is no such server. */
  setDraining(serverId: string, draining: boolean, by?: Actor): Promise<boolean>;
  /**
   * Takes or renews a named lease that one process at a time holds (the sweeper's). `false` = somebody else holds it.
   */
  acquireNamedLease(name: string, ownerId: string, leaseMs: number): Promise<boolean>;
}
