export interface GathererOptions<Item, Result> {
  /** Runs the items together. @returns their results, in the same order */
  run: (items: Item[]) => Promise<Result[]>;
  /** Whether the item may go together with these, which came before it. */
  fits: (item: Item, together: readonly Item[]) => boolean;
  /** Whether a run of several items may have failed because of one of them, without any effect. Then each is run alone. */
  isOfOne: (error: unknown) => boolean;
  /** After so long a run counts as slow, and what waits need not wait for it any more. */
  slowMs: number;
  /** Runs at the same time, slow ones included. */
  runsMax: number;
}

interface Waiting<Item, Result> {
  item: Item;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
}

/**
 * Runs together what comes while another run is under way. What comes alone runs at once, so nothing waits for others that
 * may come. A run that is slow, because it waits for a row for example, does not hold up the following ones.
 */
export class Gatherer<Item, Result> {
  readonly #options: GathererOptions<Item, Result>;
  #waiting: Waiting<Item, Result>[] = [];
  #running = 0;
  /** Those of the runs that are not slow yet. */
  #quick = 0;

  constructor(options: GathererOptions<Item, Result>) {
    this.#options = options;
  }

  /** Rejects with the error of the run in which the item was. */
  add(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      this.#next();
    });
  }

  #next(): void {
    if (this.#waiting.length === 0 || this.#quick > 0 || this.#running >= this.#options.runsMax) return;
    const together: Item[] = [];
    for (const { item } of this.#waiting) {
      if (together.length > 0 && !this.#options.fits(item, together)) break;
      together.push(item);
    }
    void this.#run(this.#waiting.splice(0, together.length));
  }

  async #run(together: Waiting<Item, Result>[]): Promise<void> {
    this.#running += 1;
    this.#quick += 1;
    let isQuick = true;
    const goOn = (): void => {
      if (isQuick) this.#quick -= 1;
      isQuick = false;
      this.#next();
    };
    const timer = setTimeout(goOn, this.#options.slowMs);
    try {
      await this.#runAll(together);
    } finally {
      clearTimeout(timer);
      this.#running -= 1;
      goOn();
    }
  }

  async #runAll(together: Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await this.#options.run(together.map(({ item }) => item));
      if (results.length !== together.length) throw new Error("A run did not give one result for each item.");
      for (const [index, result] of results.entries()) together[index]?.resolve(result);
    } catch (error) {
      if (together.length > 1 && this.#options.isOfOne(error)) {
        for (const each of together) await this.#runAll([each]);
      } else for (const { reject } of together) reject(error);
    }
  }
}
