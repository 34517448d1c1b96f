import { setImmediate as nextTurn } from "node:timers/promises";

/** Long work must not keep the process from answering others: after so long it lets them. */
const turnMs = 20;

/** Says when work that cannot be interrupted has taken its turn of the event loop, and lets other work go first. */
export class Turns {
  #startedAt = performance.now();

  get isOver(): boolean {
    return performance.now() - this.#startedAt > turnMs;
  }

  /** Resolves when other work had its turn. */
  async next(): Promise<void> {
    await nextTurn();
    this.#startedAt = performance.now();
  }
}
