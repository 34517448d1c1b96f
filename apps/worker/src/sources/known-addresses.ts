import { isIPv6 } from "node:net";

/** An address is gone when so many answers in a row lack it: an answer may be incomplete once. */
const missingMax = 2;
/** Further addresses are left out. */
const addressesMax = 1_000;

/** The addresses of a name, by the answers of DNS so far. */
export class KnownAddresses {
  /** In how many answers in a row each of them was missing. */
  readonly #missing = new Map<string, number>();

  get all(): string[] {
    return [...this.#missing.keys()];
  }

  get size(): number {
    return this.#missing.size;
  }

  /** Adds addresses that the name had in an earlier life of this worker, or for another one. */
  recall(addresses: readonly string[]): void {
    for (const address of addresses) this.#add(address);
  }

  /**
   * @param answer addresses of one family
   * @returns whether an address came or went
   */
  note(answer: readonly string[]): boolean {
    const found = new Set([...answer].sort().slice(0, addressesMax));
    let hasChanged = false;
    for (const [address, count] of this.#missing) {
      const missing = found.has(address) ? 0 : count + 1;
      if (missing < missingMax) this.#missing.set(address, missing);
      else hasChanged = this.#missing.delete(address);
    }
    if (!this.#mayHave(found)) return hasChanged;
    for (const address of found) hasChanged = this.#add(address) || hasChanged;
    return hasChanged;
  }

  /** Machines with addresses of both families must not become two servers each when an answer lacks one family once. */
  #mayHave(found: ReadonlySet<string>): boolean {
    const [example = ""] = found;
    return this.size === 0 || this.all.some((address) => isIPv6(address) === isIPv6(example));
  }

  #add(address: string): boolean {
    if (this.#missing.has(address) || this.size >= addressesMax) return false;
    this.#missing.set(address, 0);
    return true;
  }
}
