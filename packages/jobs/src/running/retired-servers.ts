import { type ServerRecord, type WorkerRecord } from "../ports/server-store.ts";

type Leased = Pick<ServerRecord, "id" | "isLeased" | "ownerId">;
type Named = Pick<WorkerRecord, "id" | "isAlive" | "serverIds">;

/** The workers that live. One that holds a server's lease counts even if its own row cannot be found. */
export function liveWorkerIds(
  servers: readonly Leased[],
  workers: readonly Pick<WorkerRecord, "id" | "isAlive">[],
): ReadonlySet<string> {
  const alive = new Set(workers.filter(({ isAlive }) => isAlive).map(({ id }) => id));
  for (const { isLeased, ownerId } of servers) if (isLeased && ownerId !== null) alive.add(ownerId);
  return alive;
}

/**
 * The servers that left the configuration: workers live, and none that was seen lately names them. They have no say in which
 * jobs are accepted, or tried again.
 * @param workers those that were seen lately, dead and stopped ones as well
 */
export function retiredServerIds(servers: readonly Leased[], workers: readonly Named[]): ReadonlySet<string> {
  // With no worker alive, or none seen lately, nobody knows what is configured.
  if (workers.length === 0 || liveWorkerIds(servers, workers).size === 0) return new Set();
  // A worker that does not say which servers it names counts as naming all.
  const mayBeNamed = (serverId: string): boolean =>
    workers.some(({ serverIds }) => serverIds.length === 0 || serverIds.includes(serverId));
  return new Set(servers.filter(({ id, isLeased }) => !isLeased && !mayBeNamed(id)).map(({ id }) => id));
}
