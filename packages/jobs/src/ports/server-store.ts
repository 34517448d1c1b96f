import { type Actor } from "./audit-store.ts";
/** The states of a server, as its owner last saw it. */
export const serverStates = [
  "unknown",
  "online",
  "probing",
  "unreachable",
  "denied",
  "wedged",
  "failing",
  // Well, and gets no new work: its worker drains, it is being recycled, no source names it any more, or its worker could
  // not store outputs.
  "leaving",
  "recycling",
  "retiring",
  "storage-full",
  "storage-unavailable",
] as const;
export type ServerState = (typeof serverStates)[number];

/** The states that are shown. What the last owner saw counts only while a worker owns the server. */
export const shownServerStates = [...serverStates, "unowned", "retired"] as const;
export type ShownServerState = (typeof shownServerStates)[number];

/** A server on probation (`probing`) takes work, too, one job at a time. */
export function takesWork(state: ShownServerState): boolean {
  return state === "online" || state === "probing";
}

/**
 * Abilities that not every ComfyUI server has. packages/comfyui, which reads them from servers, has an interface with
 * the same fields: neither package may import the other, and the compiler compares the two where the worker stores what
 * the connector read.
 */
export interface ServerAbilities {
  /** The server can end a prompt by its id in one step, whether it waits or runs. */
  cancelsById: boolean;
  /** Preview images name their prompt and node. */
  namesPreviews: boolean;
  /** The server replaces nodes of classes that it no longer has. */
  replacesNodes: boolean;
  /** The server identifies files by their content. */
  hasAssets: boolean;
  /** The size of the largest request that the server accepts; `null` = unknown. */
  uploadBytesMax: number | null;
}

/** A device of a server: a GPU, or the processor where there is none. */
export interface ServerDevice {
  /** As the server calls it, for example `cuda:0 NVIDIA GeForce RTX 4090 : cudaMallocAsync`. */
  name: string;
  /** `cuda`, `cpu`, …; may be empty. */
  type: string;
  totalBytes: number;
  freeBytes: number;
}

/**
 * What a server can run: its answer to `/object_info`, without lists of files, and, if it replaces nodes, its answer to
 * `/node_replacements`. Both are parsed JSON whose content the reader validates.
 */
export interface StoredDefinitions {
  objectInfo: unknown;
  /** `null` = the server replaces no nodes. */
  replacements: unknown;
}

/** What a server has loaded, as far as its owner knows: what it ran last. */
export interface ServerModel {
  /** The lane of the job that it got last; `null` = it got none since it was started. */
  lane: string | null;
  /** The main model of that job, or of the last one before it that had one. */
  loadedModel: string | null;
  /**
   * When it got the first of the jobs that it has run with this model without a change (in the lane `default`: the
   * first of the jobs of that lane).
   */
  modelSince: Date | null;
}

/** One ComfyUI process at one URL. */
export interface ServerRecord extends ServerModel {
  id: string;
  /**
   * The identity of the server: origin and path, and for a loopback address the name of its machine after `#`. Contains
   * no secret.
   */
  url: string;
  slots: number;
  state: ServerState;
  /** An operator added it by the API, and none has taken it out again. */
  isAdded: boolean;
  /** When an operator added it; `null` = it is not added. */
  addedAt: Date | null;
  /** A header `Authorization` was given with it. */
  hasAuthorization: boolean;
  /** Why the server is not online, for operators. */
  stateReason: string | null;
  stateSince: Date;
  /** An operator asked that the server get no new work. */
  draining: boolean;
  ownerId: string | null;
  leaseNumber: number;
  /** The owner's lease has not expired, by the database's clock. */
  isLeased: boolean;
  /** When the last lease ends or ended; `null` = it was released, or the server never had an owner. */
  leaseExpiresAt: Date | null;
  /** The hash of its node definitions; equal for servers with the same nodes and models. */
  definitionsHash: string | null;
  /** ComfyUI's own version, for example `0.28.0`. */
  version: string | null;
  /** From the configuration of the workers; jobs may require them. */
  labels: string[];
  /** `null` until the server was probed. */
  abilities: ServerAbilities | null;
  /** With their free memory, as the owner last recorded it; `null` = never. */
  devices: ServerDevice[] | null;
  /** An operator removed the server, and no worker has named it since. */
  isRemoved: boolean;
  /** Jobs that use or wait for one of its slots now; jobs that are `saving` do not. */
  jobsHeld: number;
  source: ServerSource;
  /** The host name that was resolved to its address; `null` = its source gives the address itself. */
  resolvedFrom: string | null;
  /** The name of its credentials in the servers file. */
  credential: string | null;
}

/** What names a server: the setting COMFYUI_URLS, the servers file, or an operator by the API. */
export const serverSources = ["setting", "file", "api"] as const;
export type ServerSource = (typeof serverSources)[number];

/** A server as one of a worker's sources names it. */
export interface NewServer {
  url: string;
  slots: number;
  /** Absent = none. */
  labels?: readonly string[];
  /** Absent = `setting`. */
  source?: ServerSource;
  resolvedFrom?: string | null;
  credential?: string | null;
}

/**
 * The id by which a worker reports that it names no server. Without any id it would count as of a version that does not
 * report its servers, and may name all.
 */
export const noServerId = "00000000-0000-0000-0000-000000000000";

/** A worker process, as it last reported itself. */
export interface WorkerRecord {
  id: string;
  startedAt: Date;
  lastSeenAt: Date;
  /** The servers in the worker's configuration; empty = its version is too old to report them. */
  serverIds: string[];
  /** Where the worker serves `/health` and `/metrics`; `null` = it does not report it. */
  statusUrl: string | null;
  /** Why the worker does not use the servers that its sources name now; `null` = it uses them. */
  serversProblem: string | null;
  /** The worker was seen within the length of a lease, and has not stopped. */
  isAlive: boolean;
  /** It stopped on purpose; `false` = it is alive, or it died. */
  hasStopped: boolean;
  /** How many jobs' leases the worker holds. */
  jobsHeld: number;
  /** How many servers' leases the worker holds. */
  serversOwned: number;
}

/** A worker's lease of a server. */
export interface ServerLease {
  serverId: string;
  leaseNumber: number;
}

/** A server that a worker has just got. */
export interface TakenServer extends ServerLease {
  server: ServerRecord;
  /** An earlier owner began to recycle it, and did not end that. */
  isBeingRecycled: boolean;
}

/**
 * The ComfyUI servers: which worker owns each, and what each can run. A server has at most one owner at a time. Every
 * method throws `StoreUnavailableError` when the database cannot be reached.
 */
export interface ServerStore {
  /**
   * Rewrites the URLs of rows that earlier versions wrote to the form of `identityOf`: those had users and passwords in
   * them, and several spellings. If several rows are one server, the row in use gets the URL. The others are kept,
   * because jobs and attempts name them, under URLs that end with `#earlier-…`.
   * @returns how many rows were changed
   */
  cleanServerUrls(identityOf: (url: string) => string): Promise<number>;
  /** Makes sure that these servers have rows (by URL) that say the same; returns them in the given order. */
  registerServers(servers: NewServer[]): Promise<ServerRecord[]>;
  /**
   * Records that this worker is alive, and which servers its configuration names. Returns how many workers are alive
   * (seen within `leaseMs`), including this one.
   * @param statusUrl where the worker serves `/health` and `/metrics`
   */
  renewWorker(
    workerId: string,
    serverIds: string[],
    leaseMs: number,
    statusUrl?: string | null,
  ): Promise<number>;
  /** The live workers: seen within `leaseMs`, by the database's clock, and not stopped. */
  listLiveWorkers(leaseMs: number): Promise<WorkerRecord[]>;
  /** The live workers, and those that stopped or died within `seenWithinMs`. */
  listRecentWorkers(leaseMs: number, seenWithinMs: number): Promise<WorkerRecord[]>;
  /** Records that the worker has stopped, so that it no longer counts as alive. */
  stopWorker(workerId: string): Promise<void>;
  /**
   * Takes the leases of up to `limit` of these servers that are free or expired, and raises their lease numbers.
   * @param options.alsoExpired false: only those that are free, whose owners let them go
   */
  acquireServers(
    workerId: string,
    serverIds: string[],
    limit: number,
    leaseMs: number,
    options?: { alsoExpired: boolean },
  ): Promise<TakenServer[]>;
  /** Renews all leases in one statement. A lease that is not returned was lost. */
  renewServers(workerId: string, leases: ServerLease[], leaseMs: number): Promise<ServerLease[]>;
  /** Frees the servers at once. Their state is `unknown` until the next owner has checked them. */
  releaseServers(workerId: string, leases: ServerLease[]): Promise<void>;
  /** Fenced by the server's lease; `false` = another worker has the lease. */
  setServerState(lease: ServerLease, state: ServerState, reason: string | null): Promise<boolean>;
  /** Records what the server has loaded. Fenced by the server's lease, too. */
  recordModel(lease: ServerLease, model: ServerModel): Promise<boolean>;
  /** Records the server's devices and their memory. Fenced by the server's lease; `false` = another worker has it. */
  recordDevices(lease: ServerLease, devices: readonly ServerDevice[]): Promise<boolean>;
  /** Fenced by the server's lease, too. */
  describeServer(
    lease: ServerLease,
    about: { version: string | null; abilities: ServerAbilities },
  ): Promise<boolean>;
  /** Stores node definitions once by content, and names them in the server's row. Fenced by the server's lease, too. */
  saveDefinitions(lease: ServerLease, definitions: StoredDefinitions & { hash: string }): Promise<boolean>;
  /**
   * Names definitions in the server's row that are stored already: they are megabytes, and need not be sent again for each
   * of many equal servers. Fenced by the server's lease, too.
   * @returns `not-stored` = nothing was changed, and `saveDefinitions` must store them
   */
  nameDefinitions(lease: ServerLease, hash: string): Promise<"named" | "not-stored" | "not-held">;
  /**
   * Removes definitions that no server's row has named for `unusedMs`. The time allows for processes that have just
   * read a row and will read its definitions next. A worker that is about to name definitions in a row keeps them from
   * being removed.
   */
  removeUnusedDefinitions(unusedMs: number): Promise<number>;
  /**
   * All servers but those that were removed and that no worker holds any more: their rows stay for the jobs that ran on
   * them. A server is *known* once it has a `definitionsHash`.
   */
  listServers(): Promise<ServerRecord[]>;
  /** Node definitions by content hash. */
  findDefinitions(hash: string): Promise<StoredDefinitions | null>;
  /**
   * Removes a server that has no owner and that no worker seen within `seenWithinMs` names, if any worker is alive;
   * recorded as an audit event. The row stays for the history of its jobs. If a worker names the server again, it is
   * back.
   */
  removeServer(
    serverId: string,
    times: { leaseMs: number; seenWithinMs: number },
    by: Actor,
  ): Promise<"removed" | "in-use" | "absent">;
  /** Starts or stops new work on a server; recorded as an audit event. `false` = there is no such server. */
  setDraining(serverId: string, draining: boolean, by?: Actor): Promise<boolean>;
  /**
   * Takes or renews a named lease that one process at a time may hold, such as the sweeper's. `false` = another process
   * holds it.
   */
  acquireNamedLease(name: string, ownerId: string, leaseMs: number): Promise<boolean>;
}
