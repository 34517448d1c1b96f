import { type ServerRecord, type WorkerRecord } from "../ports/server-store.ts";

type Leased = Pick<ServerRecord, "id" | "isLeased" | "ownerId">;
type Named = Pick<WorkerRecord, "id" | "isAlive" | "serverIds">;
type Seen = Pick<WorkerRecord, "isAlive" | "hasStopped" | "lastSeenAt" | "serverIds">;

/** The live workers. A worker that holds a server's lease counts as alive even if its own row is missing. */
export function liveWorkerIds(
  servers: readonly Leased[],
  workers: readonly Pick<WorkerRecord, "id" | "isAlive">[],
): ReadonlySet<string> {
  const alive = new Set(workers.filter(({ isAlive }) => isAlive).map(({ id }) => id));
  for (const { isLeased, ownerId } of servers) if (isLeased && ownerId !== null) alive.add(ownerId);
  return alive;
}

/**
 * The servers that left the configuration: workers are alive, and none that was seen lately names them. Retired servers
 * do not decide which jobs are accepted or retried. Those that operators added belong to the farm until they are removed.
 * @param workers those that were seen lately, including dead and stopped ones
 */
export function retiredServerIds(
  servers: readonly (Leased & Pick<ServerRecord, "isAdded">)[],
  workers: readonly Named[],
): ReadonlySet<string> {
  // If no worker is alive, or none was seen lately, the configuration is unknown.
  if (workers.length === 0 || liveWorkerIds(servers, workers).size === 0) return new Set();
  // A worker that does not report its servers may name any server.
  const mayBeNamed = (serverId: string): boolean =>
    workers.some(({ serverIds }) => serverIds.length === 0 || serverIds.includes(serverId));
  const isRetired = ({ id, isLeased, isAdded }: (typeof servers)[number]): boolean =>
    !isLeased && !isAdded && !mayBeNamed(id);
  return new Set(servers.filter(isRetired).map(({ id }) => id));
}

/**
 * The servers without an owner that should have one: a live worker names them, or the last worker that named them died. A
 * worker that stopped on purpose, such as the one of a pod that was taken away, took its servers with it.
 * @param workers those that were seen lately, including dead and stopped ones
 */
export function abandonedServerIds(
  servers: readonly Leased[],
  workers: readonly Seen[],
): ReadonlySet<string> {
  const isAbandoned = (serverId: string): boolean => {
    // A worker that does not report its servers may name any server.
    const naming = workers.filter(({ serverIds }) => serverIds.length === 0 || serverIds.includes(serverId));
    if (naming.some(({ isAlive }) => isAlive)) return true;
    const [last] = naming.toSorted((one, other) => other.lastSeenAt.getTime() - one.lastSeenAt.getTime());
    return last !== undefined && !last.hasStopped;
  };
  return new Set(servers.filter(({ id, isLeased }) => !isLeased && isAbandoned(id)).map(({ id }) => id));
}
