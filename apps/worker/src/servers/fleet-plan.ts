import { type WorkerRecord } from "@genga/jobs";

/** What a worker knows of itself when it plans. */
export interface OwnPart {
  workerId: string;
  /** The servers that its configuration names. */
  serverIds: readonly string[];
  /** The servers that it owns, the least busy first: these are handed over first. */
  ownedIds: readonly string[];
}

export interface FleetPlan {
  /** Servers to leave to workers that own too few. */
  handOver: string[];
  /** Servers to take if they are free, and how many of them at most. */
  take: string[];
  takeMax: number;
}

/** Shares are sums of fractions: 3 × ⅓ must not become 2. */
const roundingError = 1e-9;

/**
 * Which servers a worker should own. A server counts ½ for each of two live workers whose configurations name it, ⅓ for
 * each of three; the sum, rounded up, is a worker's fair share. With equal configurations that is ⌈servers ÷ workers⌉.
 *
 * A fair share alone could leave a server without an owner, when all workers that name it have theirs already: such a
 * server is taken beyond the share. A worker hands a surplus over only where another worker that names the server owns
 * too few; so servers do not go to and fro.
 */
export function planFleet(own: OwnPart, workers: readonly WorkerRecord[]): FleetPlan {
  const members = workers
    .filter(({ id }) => id !== own.workerId)
    .map(({ serverIds, serversOwned }) => ({
      // A worker of an earlier version does not say what it names: it counts as naming all.
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
