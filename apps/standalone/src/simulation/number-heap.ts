/** A binary heap of whole numbers by a key, the smallest first; of equal keys the smaller number is first. */
export class NumberHeap {
  #keys = new Float64Array(16);
  #values = new Int32Array(16);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The key of the first, or infinity. */
  get firstKey(): number {
    return this.#size === 0 ? Infinity : this.#key(0);
  }

  /** The first, or -1. */
  get first(): number {
    return this.#size === 0 ? -1 : this.#value(0);
  }

  push(key: number, value: number): void {
    if (this.#size === this.#keys.length) this.#grow();
    let at = this.#size;
    this.#size += 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(key, value, parent)) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#set(at, key, value);
  }

  /** Removes the first and returns it, or -1. */
  pop(): number {
    if (this.#size === 0) return -1;
    const first = this.#value(0);
    this.#size -= 1;
    const [key, value] = [this.#key(this.#size), this.#value(this.#size)];
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#size) break;
      const right = child + 1;
      if (right < this.#size && this.#isBefore(this.#key(right), this.#value(right), child)) child = right;
      if (this.#isBefore(key, value, child)) break;
      this.#move(child, at);
      at = child;
    }
    if (this.#size > 0) this.#set(at, key, value);
    return first;
  }

  #isBefore(key: number, value: number, other: number): boolean {
    const otherKey = this.#key(other);
    return key < otherKey || (key === otherKey && value < this.#value(other));
  }

  #key(at: number): number {
    return this.#keys[at] ?? Infinity;
  }

  #value(at: number): number {
    return this.#values[at] ?? -1;
  }

  #move(from: number, to: number): void {
    this.#set(to, this.#key(from), this.#value(from));
  }

  #set(at: number, key: number, value: number): void {
    this.#keys[at] = key;
    this.#values[at] = value;
  }

  #grow(): void {
    const [keys, values] = [this.#keys, this.#values];
    this.#keys = new Float64Array(2 * keys.length);
    this.#values = new Int32Array(2 * values.length);
    this.#keys.set(keys);
    this.#values.set(values);
  }
}
