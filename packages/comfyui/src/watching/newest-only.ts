export interface NewestOnlyOptions<Value> {
  /** The least time between two values that are handed on. */
  intervalMs: number;
  handOn: (value: Value) => void;
}

/**
 * Hands on at most one value per interval: the first at once, then always the newest. A value that a newer one replaces
 * in time is never handed on.
 */
export class NewestOnly<Value> {
  readonly #options: NewestOnlyOptions<Value>;
  #waiting: { value: Value } | null = null;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: NewestOnlyOptions<Value>) {
    this.#options = options;
  }

  /** @returns whether it replaced a value that waited, which is never handed on then */
  note(value: Value): boolean {
    if (this.#timer === null) {
      this.#handOn(value);
      return false;
    }
    const replacesOne = this.#waiting !== null;
    this.#waiting = { value };
    return replacesOne;
  }

  /** Hands on the value that waits, if there is one, without regard to the interval. */
  flush(): void {
    const waiting = this.#waiting;
    this.clear();
    if (waiting !== null) this.#handOn(waiting.value);
  }

  /** Forgets the value that waits. */
  clear(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#waiting = null;
  }

  #handOn(value: Value): void {
    this.#timer = setTimeout(() => {
      this.flush();
    }, this.#options.intervalMs);
    this.#options.handOn(value);
  }
}
