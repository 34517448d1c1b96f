import { type NodeResult } from "../nodes/node-run.ts";

interface Running {
  readonly results: Promise<readonly NodeResult[]>;
  hasEnded: boolean;
}

/**
 * Asynchronous nodes that were started and whose results were not collected yet. They make progress only while the
 * executor is idle, because they share one thread with all other nodes (PROTOCOL-0.28, 3).
 */
export class AsyncNodes {
  readonly #running = new Map<string, Running>();
  #isIdle = false;
  #wakeUp: (() => void)[] = [];
  #onEnd: (() => void) | undefined;

  get size(): number {
    return this.#running.size;
  }

  has(nodeId: string): boolean {
    return this.#running.has(nodeId);
  }

  start(nodeId: string, results: Promise<readonly NodeResult[]>): void {
    const entry: Running = { results, hasEnded: false };
    const markEnded = (): void => {
      entry.hasEnded = true;
      this.#onEnd?.();
    };
    results.then(markEnded, markEnded);
    this.#running.set(nodeId, entry);
  }

  /** The results of a node that has ended. @throws what the node raised */
  collect(nodeId: string): Promise<readonly NodeResult[]> {
    const entry = this.#running.get(nodeId);
    this.#running.delete(nodeId);
    return entry ? entry.results : Promise.resolve([]);
  }

  /** Lets the nodes run until one of them has ended. @returns the nodes that have ended */
  async whileIdle(): Promise<string[]> {
    this.#isIdle = true;
    for (const wake of this.#wakeUp.splice(0)) wake();
    const ended = (): string[] => [...this.#running].filter(([, one]) => one.hasEnded).map(([id]) => id);
    if (ended().length === 0) {
      await new Promise<void>((resolve) => {
        this.#onEnd = resolve;
      });
    }
    this.#onEnd = undefined;
    this.#isIdle = false;
    return ended();
  }

  /** Called by a node after a wait: resolves when the executor is idle. */
  async turn(): Promise<void> {
    if (this.#isIdle) return;
    await new Promise<void>((resolve) => {
      this.#wakeUp.push(resolve);
    });
  }
}
