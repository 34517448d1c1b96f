import { type LaneHead, readTicketPriority } from "@genga/jobs";

/** A server with free slots, as far as the choice of lanes needs it. */
export interface LaneServer {
  slots: number;
  jobsHeld: number;
  /** The lane of the job that the server got last; its model is probably loaded. */
  lane: string | null;
}

type Head = Pick<LaneHead, "lane" | "waiting" | "headPriority">;

/**
 * From which lanes tickets are taken for free slots, and how many. A server stays with its lane while that has tickets
 * and no lane has a ticket in a more urgent band; otherwise it goes to the lane with the first ticket of all.
 *
 * @returns counts by lane; never more than the lane has waiting
 */
export function planTakes(servers: readonly LaneServer[], heads: readonly Head[]): Map<string, number> {
  const left = new Map(heads.map((head) => [head.lane, { ...head }]));
  const counts = new Map<string, number>();
  const slots = servers
    .toSorted((one, other) => one.jobsHeld - other.jobsHeld)
    .flatMap(({ slots, jobsHeld, lane }) =>
      Array.from({ length: Math.max(slots - jobsHeld, 0) }, () => lane),
    );
  for (const own of slots) {
    const chosen = chooseHead(own, left);
    if (chosen === null) break;
    counts.set(chosen.lane, (counts.get(chosen.lane) ?? 0) + 1);
    chosen.waiting -= 1;
    if (chosen.waiting === 0) left.delete(chosen.lane);
  }
  return counts;
}

function chooseHead(ownLane: string | null, left: ReadonlyMap<string, Head>): Head | null {
  const [first] = [...left.values()].sort((one, other) => one.headPriority - other.headPriority);
  if (first === undefined) return null;
  const own = ownLane === null ? undefined : left.get(ownLane);
  const mayStay = own !== undefined && ownBandOf(own) <= ownBandOf(first);
  return mayStay ? own : first;
}

/** Ageing orders the tickets of a lane; it makes no server leave its lane. */
function ownBandOf({ headPriority }: Head): number {
  return readTicketPriority(headPriority).ownBand;
}
