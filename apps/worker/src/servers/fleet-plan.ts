import { type WorkerRecord } from "@genga/jobs";

/** The facts about a worker that its own plan needs. */
export interface OwnPart {
  workerId: string;
  /** The servers in the worker's configuration. */
  serverIds: readonly string[];
  /** The servers that the worker owns, the least busy first; servers are handed over in this order. */
  ownedIds: readonly string[];
  /** Those of them that are not handed over now. */
  keptIds: ReadonlySet<string>;
}

export interface FleetPlan {
  /** Servers to hand over, because other workers own too few. */
  handOver: string[];
  /** Servers to take if they are free, and how many of them at most. */
  take: string[];
  takeMax: number;
}

/**
 * The servers in this worker's configuration that no other worker serves: what runs there ends with this worker or never. A
 * worker that was not seen since this one started may be its predecessor, which died, so it does not count.
 */
export function namedHereAlone(
  { workerId, serverIds }: Pick<OwnPart, "workerId" | "serverIds">,
  workers: readonly WorkerRecord[],
): string[] {
  const own = workers.find(({ id }) => id === workerId);
  const others = workers.filter(
    ({ id, lastSeenAt }) => id !== workerId && own !== undefined && lastSeenAt > own.startedAt,
  );
  return serverIds.filter(
    (serverId) =>
      // A worker of an earlier version does not report which servers it names, so it counts as naming all.
      !others.some((other) => other.serverIds.length === 0 || other.serverIds.includes(serverId)),
  );
}

/**
 * Shares are sums of fractions. Because of rounding, 3 × ⅓ may be a little more than 1, and must not be rounded up to
 * 2.
 */
const roundingError = 1e-9;

/**
 * Decides which servers a worker should own. A server counts ½ for each of two live workers whose configurations name
 * it, ⅓ for each of three, and so on. The sum over a worker's servers, rounded up, is its fair share. With equal
 * configurations that is ⌈servers ÷ workers⌉.
 *
 * With fair shares alone a server could stay without an owner, if all workers that name it have reached theirs. Such a
 * server is taken beyond the share. A worker hands a surplus over only if another worker that names the server owns too
 * few; therefore servers do not keep changing owners.
 */
export function planFleet(own: OwnPart, workers: readonly WorkerRecord[]): FleetPlan {
  const members = workers
    .filter(({ id }) => id !== own.workerId)
    .map(({ serverIds, serversOwned }) => ({
      // A worker of an earlier version does not report which servers it names, so it counts as naming all.
      serverIds: new Set(serverIds.length === 0 ? own.serverIds : serverIds),
      serversOwned,
    }));
  const shareOf = (serverIds: Iterable<string>): number => {
    let share = 0;
    for (const id of serverIds) {
      const namedBy = members.filter((member) => member.serverIds.has(id)).length;
      share += 1 / (namedBy + (own.serverIds.includes(id) ? 1 : 0));
    }
    return Math.ceil(share - roundingError);
  };
  const others = members.map((member) => ({
    ...member,
    room: shareOf(member.serverIds) - member.serversOwned,
  }));
  const share = shareOf(own.serverIds);

  const handOver: string[] = [];
  for (const id of own.ownedIds) {
    if (own.ownedIds.length - handOver.length <= share) break;
    if (own.keptIds.has(id)) continue;
    const heir = others.find((other) => other.room > 0 && other.serverIds.has(id));
    if (heir === undefined) continue;
    heir.room -= 1;
    handOver.push(id);
  }
  const room = share - own.ownedIds.length;
  const free = own.serverIds.filter((id) => !own.ownedIds.includes(id));
  if (room > 0) return { handOver, take: free, takeMax: room };
  const forNobodyElse = free.filter((id) =>
    others.every((other) => other.room <= 0 || !other.serverIds.has(id)),
  );
  return { handOver, take: handOver.length > 0 ? [] : forNobodyElse, takeMax: 1 };
}
