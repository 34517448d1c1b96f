import { aheadMs, unitsPerRun, unmeasuredRunMs } from "./rank-step.ts";

/** The first ticket of a lane, and where the lane stands. */
export interface LaneFirst {
  lane: string;
  /** Lanes of one group take turns: the same servers may serve them, and need not load a model between them. */
  group: string;
  /** The band that the ticket waits in. */
  band: number;
  /** The ticket's rank in the lane and the band. */
  rank: number;
  /** The highest rank that was claimed in the lane and the band, as far as is known. */
  clock: number;
  /** What sixteen ranks of the lane and the band stand for; `null` = one run, and none was measured yet. */
  unitMs: number | null;
}

type Counted = LaneFirst & { unitMs: number };

interface Seen {
  group: string;
  rank: number;
  unitMs: number;
  /** Where that rank stands among those of the group's other lanes: GPU time since any moment, by weight. */
  timeMs: number;
}

const seenMax = 10_000;
/** Runs may be measured as no time at all, but each takes its turn. */
const unitMsLeast = 1;

/**
 * Lets tenants take turns across lanes. Ranks are counted in each lane by itself, since lanes may be served by different
 * servers. This class puts the ranks of a group's lanes on one line, as if all of the group's jobs waited in one lane:
 * a lane moves on that line by the GPU time between the ranks of its first tickets. So it does not matter over how many
 * lanes a tenant spreads its jobs, nor whose jobs stand first in a lane that tenants share.
 *
 * It remembers the first tickets of the last look and nothing else, so a process that has just begun, or sees only now
 * and then what others take, comes to nearly the same order.
 */
export class LaneTurns {
  readonly #seen = new Map<string, Seen>();
  /** How far each group has come: the time of the lane whose turn it is. It never goes back. */
  readonly #times = new Map<string, number>();

  /**
   * How far each lane's first ticket stands behind the one whose turn it is, in milliseconds of GPU time: 0 for the
   * lane whose turn it is.
   * @param firsts of all lanes that have tickets and are not paused, one for each lane
   */
  look(firsts: readonly LaneFirst[]): Map<string, number> {
    const ahead = new Map<string, number>();
    for (const [group, uncounted] of byGroup(firsts)) {
      const members = withUnits(uncounted);
      const known = members.flatMap((first) => this.#timeOf(group, first) ?? []);
      const beforeMs = Math.max(this.#times.get(group) ?? 0, known.length === 0 ? 0 : Math.min(...known));
      // A lane that was not seen before begins now. If a tenant's first job comes before a lane's other tickets, the lane
      // begins now, too, and not when it was last served.
      const placed = members.map((first) => {
        const ownMs = this.#timeOf(group, first) ?? beforeMs + aheadMs(first.rank, first.clock, first.unitMs);
        return { first, timeMs: Math.max(ownMs, beforeMs) };
      });
      const nowMs = Math.min(...placed.map(({ timeMs }) => timeMs));
      remember(this.#times, group, nowMs);
      for (const { first, timeMs } of placed) {
        const { lane, rank, unitMs } = first;
        ahead.set(lane, timeMs - nowMs);
        remember(this.#seen, keyOf(first), { group, rank, unitMs, timeMs });
      }
    }
    return ahead;
  }

  /** `undefined` = the lane was not seen before in this band. */
  #timeOf(group: string, first: Counted): number | undefined {
    const seen = this.#seen.get(keyOf(first));
    if (seen === undefined) return undefined;
    // Before a run was measured, ranks are counted in runs of the lane, however long these turn out to be.
    const ranks = first.rank - seen.rank;
    const distanceMs = seen.timeMs - (this.#times.get(seen.group) ?? 0) + (ranks * seen.unitMs) / unitsPerRun;
    // Servers may have come or gone, so that the lane is in another group now. It keeps its distance.
    return (this.#times.get(group) ?? 0) + (distanceMs * first.unitMs) / seen.unitMs;
  }
}

/** Runs of a lane that were not measured yet probably take as long as those of the group's other lanes. */
function withUnits(firsts: readonly LaneFirst[]): Counted[] {
  const measured = firsts.flatMap(({ unitMs }) => unitMs ?? []);
  const usualMs =
    measured.length === 0 ? unmeasuredRunMs : measured.reduce((sum, ms) => sum + ms, 0) / measured.length;
  return firsts.map((first) => ({ ...first, unitMs: Math.max(first.unitMs ?? usualMs, unitMsLeast) }));
}

function keyOf({ lane, band }: LaneFirst): string {
  return `${band} ${lane}`;
}

function byGroup(firsts: readonly LaneFirst[]): Map<string, LaneFirst[]> {
  const groups = new Map<string, LaneFirst[]>();
  for (const first of firsts) {
    const group = `${first.band} ${first.group}`;
    const members = groups.get(group);
    if (members === undefined) groups.set(group, [first]);
    else members.push(first);
  }
  return groups;
}

/** Forgets what was not seen for longest when there is too much. */
function remember<Value>(values: Map<string, Value>, key: string, value: Value): void {
  values.delete(key);
  values.set(key, value);
  if (values.size <= seenMax) return;
  const [oldest] = values.keys();
  if (oldest !== undefined) values.delete(oldest);
}
