/** A burst of live events leads to one read. */
const readSoonMs = 50;

/** Reads once in a while, and soon after it was asked to; never twice at once, and only between `start` and `stop`. */
export class RepeatedRead {
  readonly #read: () => Promise<void>;
  readonly #everyMs: number;
  readonly #onError: (error: unknown) => void;
  #isStarted = false;
  #isReading = false;
  #isAskedFor = false;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: { read: () => Promise<void>; everyMs: number; onError: (error: unknown) => void }) {
    this.#read = options.read;
    this.#everyMs = options.everyMs;
    this.#onError = options.onError;
  }

  /** Reads at once. */
  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    if (!this.#isReading) this.#readIn(0);
  }

  stop(): void {
    this.#isStarted = false;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  readSoon(): void {
    if (this.#isAskedFor) return;
    this.#isAskedFor = true;
    if (this.#isStarted && !this.#isReading) this.#readIn(readSoonMs);
  }

  #readIn(afterMs: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#readNow(), afterMs);
  }

  async #readNow(): Promise<void> {
    this.#isReading = true;
    this.#isAskedFor = false;
    try {
      await this.#read();
    } catch (error) {
      this.#onError(error);
    }
    this.#isReading = false;
    this.#planNext();
  }

  #planNext(): void {
    if (this.#isStarted) this.#readIn(this.#isAskedFor ? readSoonMs : this.#everyMs);
  }
}
