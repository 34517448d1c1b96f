import { type ServerState, takesWork } from "@genga/jobs";
import { type ServerHealth } from "./server-health.ts";

/** Why a server that is well gets no new work. */
export type Hold = (typeof holds)[number];

/** The first one that a server has is shown. */
const holds = [
  "retiring",
  "recycling",
  "leaving",
  "storage-unavailable",
  "storage-full",
] as const satisfies ServerState[];

/** What keeps one server from getting new work, besides its health: an operator's drain, and holds, each with its reason. */
export class ServiceHolds {
  readonly #reasons = new Map<Hold, string>();
  readonly #onHeld: () => void;
  #isDrained = false;

  /** @param onHeld is called when there is one more */
  constructor(onHeld: () => void) {
    this.#onHeld = onHeld;
  }

  get areNone(): boolean {
    return this.#reasons.size === 0 && !this.#isDrained;
  }

  /** An operator drained it, or resumed it. @returns whether that is a change */
  setDrained(isDrained: boolean): boolean {
    const isChange = isDrained !== this.#isDrained;
    this.#isDrained = isDrained;
    if (isDrained && isChange) this.#onHeld();
    return isChange;
  }

  has(hold: Hold): boolean {
    return this.#reasons.has(hold);
  }

  set(hold: Hold, reason: string | null): void {
    const isNew = reason !== null && !this.#reasons.has(hold);
    if (reason === null) this.#reasons.delete(hold);
    else this.#reasons.set(hold, reason);
    if (isNew) this.#onHeld();
  }

  /** The state to show: that of its health, unless it would take work and is held. */
  shownState({ state, reason }: Pick<ServerHealth, "state" | "reason">): {
    state: ServerState;
    reason: string | null;
  } {
    if (!takesWork(state)) return { state, reason };
    for (const hold of holds) {
      const held = this.#reasons.get(hold);
      if (held !== undefined) return { state: hold, reason: held };
    }
    return { state, reason };
  }
}
