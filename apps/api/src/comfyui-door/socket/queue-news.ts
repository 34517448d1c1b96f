import { type Audience } from "./audience.ts";

/** What clients are to be told of their queue. */
export class QueueNews {
  readonly #audience: Audience;
  #at = Number.POSITIVE_INFINITY;
  /** Prompts that came since, by key. */
  #added = new Map<string, number>();

  constructor(audience: Audience) {
    this.#audience = audience;
  }

  /** When clients are to be told how many prompts wait and run. */
  get at(): number {
    return this.#at;
  }

  /** Prompts came, or were removed. */
  note(addedBy: string | undefined): void {
    this.#at = 0;
    if (addedBy !== undefined) this.#added.set(addedBy, (this.#added.get(addedBy) ?? 0) + 1);
  }

  async tell(): Promise<void> {
    this.#at = Number.POSITIVE_INFINITY;
    const added = this.#added;
    this.#added = new Map();
    try {
      await this.count();
    } catch (error) {
      this.#at = 0;
      for (const [keyName, count] of added) this.#added.set(keyName, (this.#added.get(keyName) ?? 0) + count);
      throw error;
    }
    this.#audience.tellAdded(added);
    this.#audience.tellStatus([...this.#audience.keyNames()].filter((keyName) => !added.has(keyName)));
  }

  /** Counts the prompts of these keys, or of all; what was not worth it is told later. */
  async count(keyNames?: ReadonlySet<string>): Promise<void> {
    const againAt = await this.#audience.count(keyNames);
    if (againAt !== null) this.#at = Math.min(this.#at, againAt);
  }
}
