/** A small random generator with a seed (mulberry32): the same seed gives the same sequence on every machine. */
export class Random {
  #state: number;

  /** @param seeds several numbers may be combined, such as a seed and a round */
  constructor(...seeds: number[]) {
    this.#state = seeds.reduce((state, seed) => mixed(state ^ Math.trunc(seed)), 0x9e37_79b9);
  }

  /** 0 ≤ number < 1 */
  next(): number {
    this.#state = (this.#state + 0x6d2b_79f5) | 0;
    return mixed(this.#state) / 2 ** 32;
  }

  /** A whole number, both ends included. */
  between(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.between(0, items.length - 1)];
    if (item === undefined) throw new RangeError("There is nothing to pick from.");
    return item;
  }

  shuffled<Item>(items: readonly Item[]): Item[] {
    return items
      .map((item) => ({ item, place: this.next() }))
      .sort((one, other) => one.place - other.place)
      .map(({ item }) => item);
  }

  /** Picks by weight: an entry of weight 2 is picked twice as often as one of weight 1. */
  pickWeighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name {
    const entries = Object.entries(weights) as [Name, number][];
    let left = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [name, weight] of entries) {
      left -= weight;
      if (left < 0) return name;
    }
    return this.pick(entries)[0];
  }
}

function mixed(value: number): number {
  let result = Math.imul(value ^ (value >>> 15), value | 1);
  result ^= result + Math.imul(result ^ (result >>> 7), result | 61);
  return (result ^ (result >>> 14)) >>> 0;
}
