/** Why there is no room for a body: the tenant's share of this process's memory is used up, or all of the memory is. */
export interface NoBodyRoom {
  lacks: "tenant-share" | "process";
  max: number;
  used: number;
}

/** How long a body waits for room; most bodies are read in less. */
const patienceMs = 2_000;
const waitingMax = 200;

/**
 * Bounds the bytes of request bodies that this process holds at once, so that no number of large requests fills its
 * memory. One tenant gets half of it at most.
 */
export class BodyMemory {
  readonly #max: number;
  readonly #patienceMs: number;
  readonly #used = new Map<string, number>();
  #usedByAll = 0;
  #waiting: (() => void)[] = [];

  constructor(options: { bytesMax: number; patienceMs?: number }) {
    this.#max = options.bytesMax;
    this.#patienceMs = options.patienceMs ?? patienceMs;
  }

  /** @returns a function that releases the memory; call it once */
  async reserve(tenantId: string, bytes: number): Promise<(() => void) | NoBodyRoom> {
    const until = performance.now() + this.#patienceMs;
    for (;;) {
      const lacking = this.#lacking(tenantId, bytes);
      if (lacking === null) return this.#take(tenantId, bytes);
      if (performance.now() >= until || this.#waiting.length >= waitingMax) return lacking;
      await this.#change(until - performance.now());
    }
  }

  #lacking(tenantId: string, bytes: number): NoBodyRoom | null {
    const own = this.#used.get(tenantId) ?? 0;
    const share = Math.floor(this.#max / 2);
    if (own + bytes > share) return { lacks: "tenant-share", max: share, used: own };
    if (this.#usedByAll + bytes > this.#max) {
      return { lacks: "process", max: this.#max, used: this.#usedByAll };
    }
    return null;
  }

  #take(tenantId: string, bytes: number): () => void {
    this.#usedByAll += bytes;
    this.#used.set(tenantId, (this.#used.get(tenantId) ?? 0) + bytes);
    return () => {
      this.#usedByAll -= bytes;
      const left = (this.#used.get(tenantId) ?? 0) - bytes;
      if (left === 0) this.#used.delete(tenantId);
      else this.#used.set(tenantId, left);
      for (const wake of this.#waiting.splice(0)) wake();
    };
  }

  /** Resolves when memory was released, or after `timeoutMs`. */
  #change(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#waiting = this.#waiting.filter((each) => each !== wake);
        resolve();
      };
      const timer = setTimeout(wake, timeoutMs);
      this.#waiting.push(wake);
    });
  }
}
