import { setImmediate as nextTurn } from "node:timers/promises";

/** After this long, long work lets the event loop handle other work. */
const turnMs = 20;

/** Tells long synchronous work when to pause, and lets other work of the event loop run during the pause. */
export class Turns {
  #startedAt = performance.now();

  get isOver(): boolean {
    return performance.now() - this.#startedAt > turnMs;
  }

  /** Resolves after other work of the event loop has run. */
  async next(): Promise<void> {
    await nextTurn();
    this.#startedAt = performance.now();
  }
}
