import { type ServerRecord, type WorkerRecord } from "../ports/server-store.ts";

type Leased = Pick<ServerRecord, "id" | "isLeased" | "ownerId">;
type Named = Pick<WorkerRecord, "id" | "isAlive" | "serverIds">;

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
 * do not decide which jobs are accepted or retried.
 * @param workers those that were seen lately, including dead and stopped ones
 */
export function retiredServerIds(servers: readonly Leased[], workers: readonly Named[]): ReadonlySet<string> {
  // If no worker is alive, or none was seen lately, the configuration is unknown.
  if (workers.length === 0 || liveWorkerIds(servers, workers).size === 0) return new Set();
  // A worker that does not report its servers may name any server.
  const mayBeNamed = (serverId: string): boolean =>
    workers.some(({ serverIds }) => serverIds.length === 0 || serverIds.includes(serverId));
  return new Set(servers.filter(({ id, isLeased }) => !isLeased && !mayBeNamed(id)).map(({ id }) => id));
}
