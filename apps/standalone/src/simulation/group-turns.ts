import { LaneTurns, type LaneFirst } from "@genga/jobs";
import { type LaneQueue } from "./lane-queue.ts";

/**
 * Asks `LaneTurns` again only for the groups in which a first job has changed. What it says of a group depends on that group
 * alone, and a second look without a change says the same.
 */
export class GroupTurns {
  readonly #turns = new LaneTurns();
  readonly #lanes: readonly LaneQueue[];
  readonly #firsts: (LaneFirst | null)[];
  /** The numbers of the lanes of each group. */
  readonly #members = new Map<string, Set<number>>();
  readonly #aheadMs: Float64Array;
  readonly #numbers: Map<string, number>;

  constructor(lanes: readonly LaneQueue[]) {
    this.#lanes = lanes;
    this.#firsts = lanes.map(() => null);
    this.#aheadMs = new Float64Array(lanes.length);
    this.#numbers = new Map(lanes.map(({ lane }, number) => [lane.name, number]));
  }

  /** How far each lane's first job stands behind the one whose turn it is, by the number of the lane. */
  look(): Readonly<Float64Array> {
    const changed = new Set<Set<number>>();
    for (const [number, queue] of this.#lanes.entries()) {
      if (!queue.firstMayDiffer) continue;
      queue.firstMayDiffer = false;
      const [before, first] = [this.#firsts[number] ?? null, queue.first()];
      this.#firsts[number] = first;
      if (before !== null) {
        const members = this.#membersOf(before);
        members.delete(number);
        changed.add(members);
      }
      if (first === null) {
        this.#aheadMs[number] = 0;
      } else {
        const members = this.#membersOf(first);
        members.add(number);
        changed.add(members);
      }
    }
    for (const members of changed) this.#lookAt(members);
    return this.#aheadMs;
  }

  #lookAt(members: ReadonlySet<number>): void {
    const firsts = [...members].flatMap((number) => this.#firsts[number] ?? []);
    for (const [lane, aheadMs] of this.#turns.look(firsts))
      this.#aheadMs[this.#numbers.get(lane) ?? -1] = aheadMs;
  }

  #membersOf({ band, group }: LaneFirst): Set<number> {
    const key = `${band} ${group}`;
    const known = this.#members.get(key) ?? new Set();
    this.#members.set(key, known);
    return known;
  }
}
