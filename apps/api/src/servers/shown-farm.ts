import {
  abandonedServerIds,
  type FarmPause,
  type StorageHold,
  liveWorkerIds,
  retiredServerIds,
  type ServerRecord,
  type ShownServerState,
  takesWork,
  type WorkerRecord,
} from "@genga/jobs";

/** A server in the form in which the API shows it. */
interface ShownServer extends Omit<ServerRecord, "state"> {
  state: ShownServerState;
}

/** The present servers and workers. */
export interface ShownFarm {
  /** Servers that an operator removed are not among them. */
  servers: ShownServer[];
  /** Includes removed servers, since old attempts name them. */
  named: readonly Pick<ServerRecord, "id" | "url" | "resolvedFrom">[];
  workers: WorkerRecord[];
  workersAlive: number;
  /** Live workers that claim no jobs, since they could not store outputs. */
  storageHolds: readonly StorageHold[];
  pause: FarmPause | null;
  /** The ids of servers without an owner that should have one. */
  abandoned: ReadonlySet<string>;
}

const noWorkerIsAlive = "No worker is alive.";
const noWorkerOwnsIt = "No worker owns this server.";
const noWorkerTakesIt =
  "No live worker has taken it yet. Workers with SERVERS_FROM_API=false take no servers that were added, and workers with a SERVER_NAME none with a loopback address.";
const noWorkerNamesIt = "No worker's configuration names this server any more.";

/**
 * The state that a server's last owner saw says nothing once the owner's lease has run out. Such a server is shown as
 * `unowned` since then, or as `retired` when workers are alive and none that was seen lately names it.
 * @param workers all that were seen lately, including dead and stopped ones
 */
export function showFarm(
  records: readonly ServerRecord[],
  workers: readonly WorkerRecord[],
  pause: FarmPause | null,
): Omit<ShownFarm, "storageHolds"> {
  const alive = liveWorkerIds(records, workers);
  const retired = retiredServerIds(records, workers);
  const servers = records.flatMap((record): ShownServer[] => {
    if (record.isLeased) return [record];
    if (record.isRemoved) return [];
    const stateSince = record.leaseExpiresAt ?? record.stateSince;
    const unowned = { ...record, stateSince, ownerId: null };
    if (retired.has(record.id)) return [{ ...unowned, state: "retired", stateReason: noWorkerNamesIt }];
    const isNamed = !record.isAdded || workers.some(({ serverIds: ids }) => mayName(ids, record.id));
    const stateReason = alive.size === 0 ? noWorkerIsAlive : isNamed ? noWorkerOwnsIt : noWorkerTakesIt;
    return [{ ...unowned, state: "unowned", stateReason }];
  });
  return {
    servers,
    named: records,
    workers: workers.filter(({ isAlive }) => isAlive),
    workersAlive: alive.size,
    pause,
    abandoned: abandonedServerIds(records, workers),
  };
}

/** A worker that does not report its servers may name any server. */
function mayName(serverIds: readonly string[], id: string): boolean {
  return serverIds.length === 0 || serverIds.includes(id);
}

/** Counts of the servers that some configuration names. All places that show such counts use this function. */
export function countServers({ servers }: Pick<ShownFarm, "servers">): {
  total: number;
  online: number;
  unowned: number;
  retired: number;
  slots: number;
  jobsHeld: number;
} {
  const configured = servers.filter(({ state }) => state !== "retired");
  const working = configured.filter(({ state }) => takesWork(state));
  return {
    total: configured.length,
    online: working.length,
    unowned: configured.filter(({ state }) => state === "unowned").length,
    retired: servers.length - configured.length,
    // A server on probation holds one job at a time.
    slots: working.reduce((sum, { state, slots }) => sum + (state === "probing" ? 1 : slots), 0),
    jobsHeld: servers.reduce((sum, { jobsHeld }) => sum + jobsHeld, 0),
  };
}

/** @throws Error when no server can take work */
export function describeServers(farm: Pick<ShownFarm, "servers">): string {
  const { total, online, unowned } = countServers(farm);
  const text = `${online} of ${total} online`;
  if (online === 0) throw new Error(text);
  return unowned === 0 ? text : `${text}; no worker owns ${unowned}`;
}

/** @throws Error when no worker is alive, when none has room for outputs, or when the farm is paused */
export function describeWorkers(farm: ShownFarm): string {
  const { workersAlive, storageHolds, pause } = farm;
  if (workersAlive === 0) throw new Error("no worker is alive");
  const text = `${workersAlive} alive`;
  if (pause !== null) throw new Error(`${text}; the farm is paused since ${pause.pausedAt.toISOString()}`);
  const room = describeStorage(farm);
  if (room === null) return text;
  if (storageHolds.length >= workersAlive) throw new Error(`${text}; ${room}`);
  return `${text}; ${room}`;
}

/** `null` = every live worker has room for outputs. */
function describeStorage({ storageHolds }: Pick<ShownFarm, "storageHolds">): string | null {
  const away = storageHolds.find(({ fault }) => fault !== null);
  if (away !== undefined)
    return `${storageHolds.length} begin nothing, since the storage for outputs cannot be written to (${away.fault})`;
  const [fullest] = storageHolds.toSorted((one, other) => one.freeBytes - other.freeBytes);
  if (fullest === undefined) return null;
  const megabytes = (bytes: number): string => `${Math.floor(bytes / 1_000_000)} MB`;
  const { freeBytes, wantedBytes } = fullest;
  return (
    `${storageHolds.length} begin nothing, since the disk for outputs is nearly full ` +
    `(${megabytes(freeBytes)} free, ${megabytes(wantedBytes)} wanted)`
  );
}
