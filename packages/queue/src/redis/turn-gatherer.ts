interface Asked<Item, Result> {
  item: Item;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
}

/**
 * Runs together what is asked for one key in one turn of the event loop: requests that arrive together cost one command
 * instead of one each, and none waits longer than for the end of the turn.
 */
export class TurnGatherer<Item, Result> {
  readonly #run: (key: string, items: Item[]) => Promise<Result[]>;
  readonly #asked = new Map<string, Asked<Item, Result>[]>();

  /** @param run the results are in the order of the items */
  constructor(run: (key: string, items: Item[]) => Promise<Result[]>) {
    this.#run = run;
  }

  /** Rejects with the error of the run in which the item was. */
  add(key: string, item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      const known = this.#asked.get(key);
      if (known !== undefined) {
        known.push({ item, resolve, reject });
        return;
      }
      this.#asked.set(key, [{ item, resolve, reject }]);
      setImmediate(() => void this.runNow(key));
    });
  }

  /** Does not wait for the end of the turn. */
  async runNow(key: string): Promise<void> {
    const asked = this.#asked.get(key);
    if (asked === undefined) return;
    this.#asked.delete(key);
    try {
      const results = await this.#run(
        key,
        asked.map(({ item }) => item),
      );
      if (results.length !== asked.length) throw new Error("A run did not give one result for each item.");
      for (const [index, result] of results.entries()) asked[index]?.resolve(result);
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
  }
}
