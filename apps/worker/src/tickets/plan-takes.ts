import { type LaneHead, readTicketPriority } from "@genga/jobs";

/** A server with free slots, as far as the choice of lanes needs it. */
export interface LaneServer {
  slots: number;
  jobsHeld: number;
  /** The lane of the job that the server got last; its model is probably loaded. */
  lane: string | null;
  /** Whether the server can run the jobs of a lane (`Eligibility`). */
  mayServe: (lane: string) => boolean;
}

type Head = Pick<LaneHead, "lane" | "waiting" | "headPriority">;

/**
 * From which lanes tickets are taken for free slots, and how many. A server stays with its lane while that has tickets
 * and no lane that it may serve has a ticket in a more urgent band; otherwise it goes to the lane with the first ticket
 * of all that it may serve.
 *
 * @returns counts by lane; never more than the lane has waiting
 */
export function planTakes(servers: readonly LaneServer[], heads: readonly Head[]): Map<string, number> {
  const left = new Map(heads.map((head) => [head.lane, { ...head }]));
  const counts = new Map<string, number>();
  const slots = servers
    .toSorted((one, other) => one.jobsHeld - other.jobsHeld)
    .flatMap((server) => Array.from({ length: Math.max(server.slots - server.jobsHeld, 0) }, () => server));
  for (const server of slots) {
    const chosen = chooseHead(server, left);
    if (chosen === null) continue;
    counts.set(chosen.lane, (counts.get(chosen.lane) ?? 0) + 1);
    chosen.waiting -= 1;
    if (chosen.waiting === 0) left.delete(chosen.lane);
  }
  return counts;
}

function chooseHead({ lane, mayServe }: LaneServer, left: ReadonlyMap<string, Head>): Head | null {
  let first: Head | undefined;
  for (const head of left.values()) {
    if ((first === undefined || head.headPriority < first.headPriority) && mayServe(head.lane)) first = head;
  }
  if (first === undefined) return null;
  const own = lane !== null && mayServe(lane) ? left.get(lane) : undefined;
  const mayStay = own !== undefined && ownBandOf(own) <= ownBandOf(first);
  return mayStay ? own : first;
}

/** Ageing orders the tickets of a lane; it makes no server leave its lane. */
function ownBandOf({ headPriority }: Head): number {
  return readTicketPriority(headPriority).ownBand;
}
