import { LRUCache } from "lru-cache";

/** A longer queue's count is used again for ten times as long as it took. */
const manyMin = 1_000;
const reuseFactor = 10;
const toldMax = 10_000;

/** The prompts of a key that have not ended for its clients. */
export interface OpenPrompts {
  /** How many wait or run. */
  active: number;
  /** Jobs that have ended, and of whose ends a client in this process has not been told. */
  untold: readonly string[];
}

/**
 * How many prompts of each key wait or run, counted anew as often as that is cheap: clients take 0 for the end of all their prompts. A
 * prompt counts until its client is told of the end, as on a server, where both happen at once.
 */
export class QueueCounts {
  readonly #count: (keyName: string) => Promise<OpenPrompts>;
  readonly #known = new Map<string, OpenPrompts & { renewAt: number }>();
  /** Jobs of whose ends clients were told, which is noted in PostgreSQL a little later. */
  readonly #told = new LRUCache<string, true>({ max: toldMax });

  constructor(count: (keyName: string) => Promise<OpenPrompts>) {
    this.#count = count;
  }

  /** As it was when it was counted last, without those whose ends were told since. */
  of(keyName: string): number {
    const { active, untold } = this.#known.get(keyName) ?? { active: 0, untold: [] };
    return active + untold.filter((jobId) => !this.#told.has(jobId)).length;
  }

  isUntold(keyName: string, jobId: string): boolean {
    return this.#known.get(keyName)?.untold.includes(jobId) === true && !this.#told.has(jobId);
  }

  noteTold(jobId: string): void {
    this.#told.set(jobId, true);
  }

  /** The client must be told again, or the job runs again. */
  noteUntold(jobId: string): void {
    this.#told.delete(jobId);
  }

  /**
   * Counts again what is worth it.
   * @returns when to count again, because a count is used that may be too high; `null` = all are new
   */
  async renew(keyNames: ReadonlySet<string>): Promise<number | null> {
    const reused = await Promise.all([...keyNames].map((keyName) => this.#renew(keyName)));
    const times = reused.flatMap((renewAt) => renewAt ?? []);
    return times.length === 0 ? null : Math.min(...times);
  }

  /** Nobody of this key is left. */
  forget(keyName: string): void {
    this.#known.delete(keyName);
  }

  async #renew(keyName: string): Promise<number | null> {
    const known = this.#known.get(keyName);
    const begunAt = performance.now();
    if (known !== undefined && begunAt < known.renewAt) return known.renewAt;
    const open = await this.#count(keyName);
    const now = performance.now();
    const tookMs = now - begunAt;
    this.#known.set(keyName, { ...open, renewAt: open.active < manyMin ? 0 : now + tookMs * reuseFactor });
    return null;
  }
}
