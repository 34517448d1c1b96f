import {
  type FullDisk,
  type ServerRecord,
  type ShownServerState,
  takesWork,
  type WorkerRecord,
} from "@genga/jobs";

/** A server as the API shows it. */
interface ShownServer extends Omit<ServerRecord, "state"> {
  state: ShownServerState;
}

/** The servers and workers as they are now. */
export interface ShownFarm {
  servers: ShownServer[];
  workersAlive: number;
  /** Of live workers that claim nothing, since there is no room for outputs. */
  fullDisks: readonly FullDisk[];
}

const noWorkerIsAlive = "No worker is alive.";
const noWorkerOwnsIt = "No worker owns this server.";

/**
 * What a server's last owner saw says nothing once its lease has run out: the server is shown as `unowned` since then.
 * A worker that holds a lease counts as alive even if its own row cannot be found.
 */
export function showFarm(
  records: readonly ServerRecord[],
  workers: readonly WorkerRecord[],
): Omit<ShownFarm, "fullDisks"> {
  const alive = new Set(workers.map(({ id }) => id));
  for (const { isLeased, ownerId } of records) if (isLeased && ownerId !== null) alive.add(ownerId);
  const stateReason = alive.size === 0 ? noWorkerIsAlive : noWorkerOwnsIt;
  const servers = records.map((record): ShownServer => {
    if (record.isLeased) return record;
    const stateSince = record.leaseExpiresAt ?? record.stateSince;
    return { ...record, state: "unowned", stateReason, stateSince, ownerId: null };
  });
  return { servers, workersAlive: alive.size };
}

/** @throws Error when none can take work */
export function describeServers({ servers }: ShownFarm): string {
  const online = servers.filter(({ state }) => takesWork(state)).length;
  const text = `${online} of ${servers.length} online`;
  if (online === 0) throw new Error(text);
  const unowned = servers.filter(({ state }) => state === "unowned").length;
  return unowned === 0 ? text : `${text}; no worker owns ${unowned}`;
}

/** @throws Error when none is alive, or none has room for outputs */
export function describeWorkers(farm: ShownFarm): string {
  const { workersAlive, fullDisks } = farm;
  if (workersAlive === 0) throw new Error("no worker is alive");
  const text = `${workersAlive} alive`;
  const room = describeFullDisks(farm);
  if (room === null) return text;
  if (fullDisks.length >= workersAlive) throw new Error(`${text}; ${room}`);
  return `${text}; ${room}`;
}

/** `null` = every live worker has room for outputs. */
function describeFullDisks({ fullDisks }: Pick<ShownFarm, "fullDisks">): string | null {
  const [fullest] = fullDisks.toSorted((one, other) => one.freeBytes - other.freeBytes);
  if (fullest === undefined) return null;
  const megabytes = (bytes: number): string => `${Math.floor(bytes / 1_000_000)} MB`;
  const { freeBytes, wantedBytes } = fullest;
  return (
    `${fullDisks.length} begin nothing, since the disk for outputs is nearly full ` +
    `(${megabytes(freeBytes)} free, ${megabytes(wantedBytes)} wanted)`
  );
}
