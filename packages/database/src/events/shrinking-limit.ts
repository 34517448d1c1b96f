/**
 * How many items are tried at once. After a failure half as many are tried, down to a single one, since so many may take
 * longer than a transaction may; with each success in which there were as many as were tried, twice as many again.
 */
export class ShrinkingLimit {
  #most = Infinity;

  async run<T extends { events: number }>(limit: number, work: (atOnce: number) => Promise<T>): Promise<T> {
    const atOnce = Math.min(limit, this.#most);
    try {
      const done = await work(atOnce);
      // Fewer say nothing: another process may be at them, with no more success than this one.
      if (done.events >= atOnce && atOnce === this.#most) this.#most = 2 * atOnce;
      return done;
    } catch (error) {
      this.#most = Math.max(Math.floor(atOnce / 2), 1);
      throw error;
    }
  }
}
