/** A longer queue's count is used again for ten times as long as it took. */
const manyMin = 1_000;
const reuseFactor = 10;

/**
 * How many prompts of each key wait or run, counted anew as often as that is cheap: clients take 0 for the end of all their prompts.
 */
export class QueueCounts {
  readonly #count: (keyName: string) => Promise<number>;
  readonly #known = new Map<string, { count: number; renewAt: number }>();

  constructor(count: (keyName: string) => Promise<number>) {
    this.#count = count;
  }

  /** As it was when it was counted last. */
  of(keyName: string): number {
    return this.#known.get(keyName)?.count ?? 0;
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
    const count = await this.#count(keyName);
    const now = performance.now();
    const tookMs = now - begunAt;
    this.#known.set(keyName, { count, renewAt: count < manyMin ? 0 : now + tookMs * reuseFactor });
    return null;
  }
}
