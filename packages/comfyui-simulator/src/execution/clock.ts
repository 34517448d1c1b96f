import { setTimeout as delay } from "node:timers/promises";
import { AbandonedException } from "../nodes/node-run.ts";

/** Simulated time of one server: it can be frozen (a stopped process) and it ends with the server. */
export class Clock {
  readonly #life = new AbortController();
  readonly #waiting = new Set<() => void>();
  #frozen: Promise<void> | undefined;

  get signal(): AbortSignal {
    return this.#life.signal;
  }

  get isStopped(): boolean {
    return this.#life.signal.aborted;
  }

  /** Waits. @throws AbandonedException when the server ends meanwhile */
  async wait(ms: number): Promise<void> {
    await this.until(
      ms > 0 ? delay(ms, undefined, { signal: this.signal }).catch(() => undefined) : nextTurn(),
    );
  }

  /** Waits for a promise, and for the end of a freeze. @throws AbandonedException when the server ends meanwhile */
  async until<T>(promise: Promise<T>): Promise<T> {
    const value = await new Promise<T>((resolve, reject) => {
      const abandon = (): void => {
        reject(new AbandonedException());
      };
      if (this.isStopped) {
        abandon();
        return;
      }
      this.#waiting.add(abandon);
      promise.then(resolve, reject).finally(() => this.#waiting.delete(abandon));
    });
    await this.thawed();
    if (this.isStopped) throw new AbandonedException();
    return value;
  }

  /** Stops the simulated time for a while, like a process that received SIGSTOP. */
  freeze(ms: number): void {
    const until = delay(ms, undefined, { signal: this.signal, ref: false }).catch(() => undefined);
    const frozen = until.then(() => {
      if (this.#frozen === frozen) this.#frozen = undefined;
    });
    this.#frozen = frozen;
  }

  /** Resolves when the server is not frozen, or has ended. */
  async thawed(): Promise<void> {
    while (this.#frozen !== undefined && !this.isStopped) await this.#frozen;
  }

  get isFrozen(): boolean {
    return this.#frozen !== undefined;
  }

  stop(): void {
    this.#life.abort();
    for (const abandon of this.#waiting) abandon();
  }
}

/** Resolves after all callbacks that are due have run. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
