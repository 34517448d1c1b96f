import { type NodeResult } from "../nodes/node-run.ts";

interface Running {
  readonly results: Promise<readonly NodeResult[]>;
  isSettled: boolean;
}

/**
 * Asynchronous nodes that have been started and not yet been collected. They go on only while the executor has nothing
 * else to do: any other node holds up the one thread that they share with it (PROTOCOL-0.28, 3).
 */
export class AsyncNodes {
  readonly #running = new Map<string, Running>();
  #isIdle = false;
  #wakeUp: (() => void)[] = [];
  #onSettled: (() => void) | undefined;

  get size(): number {
    return this.#running.size;
  }

  has(nodeId: string): boolean {
    return this.#running.has(nodeId);
  }

  start(nodeId: string, results: Promise<readonly NodeResult[]>): void {
    const entry: Running = { results, isSettled: false };
    const settle = (): void => {
      entry.isSettled = true;
      this.#onSettled?.();
    };
    results.then(settle, settle);
    this.#running.set(nodeId, entry);
  }

  /** The results of a node that has ended. @throws what the node raised */
  collect(nodeId: string): Promise<readonly NodeResult[]> {
    const entry = this.#running.get(nodeId);
    this.#running.delete(nodeId);
    return entry ? entry.results : Promise.resolve([]);
  }

  /** Lets the nodes go on until one of them has ended. @returns the nodes that have */
  async whileIdle(): Promise<string[]> {
    this.#isIdle = true;
    for (const wake of this.#wakeUp.splice(0)) wake();
    const settled = (): string[] => [...this.#running].filter(([, one]) => one.isSettled).map(([id]) => id);
    if (settled().length === 0) {
      await new Promise<void>((resolve) => {
        this.#onSettled = resolve;
      });
    }
    this.#onSettled = undefined;
    this.#isIdle = false;
    return settled();
  }

  /** For a node that has waited: resolves when the executor has nothing else to do. */
  async turn(): Promise<void> {
    if (this.#isIdle) return;
    await new Promise<void>((resolve) => {
      this.#wakeUp.push(resolve);
    });
  }
}
