/**
 * Whether prompts of other clients may stand on a server before the next one of ours. Checks see them, some seconds apart.
 * Prompts are executed in the order of their posts: once a prompt of ours has been executed that was posted after others
 * were seen, those are gone. Times are monotonic milliseconds.
 */
export class OthersPrompts {
  #seenAt: number | null = null;
  readonly #postedAt = new WeakMap<object, number>();

  get mayBeAhead(): boolean {
    return this.#seenAt !== null;
  }

  /** A check found prompts of others, or none. */
  noteCheck(foundSome: boolean, now: number): void {
    this.#seenAt = foundSome ? now : null;
  }

  /** The run's prompt is about to be posted. */
  notePost(run: object, now: number): void {
    this.#postedAt.set(run, now);
  }

  /** The run's prompt has been executed. */
  noteExecuted(run: object): void {
    const postedAt = this.#postedAt.get(run);
    if (this.#seenAt !== null && postedAt !== undefined && postedAt > this.#seenAt) this.#seenAt = null;
  }
}
