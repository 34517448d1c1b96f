/**
 * Runs one task at a time, and once more afterwards if it was asked for meanwhile: any number of triggers, at most two
 * runs. The task handles its own errors.
 */
export class Coalescer {
  readonly #task: () => Promise<void>;
  #running: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  constructor(task: () => Promise<void>) {
    this.#task = task;
  }

  /** Resolves when a run that began after this call has ended. */
  trigger(): Promise<void> {
    if (this.#running === null) {
      this.#running = this.#run();
      return this.#running;
    }
    this.#next ??= this.#running.then(() => {
      this.#next = null;
      this.#running = this.#run();
      return this.#running;
    });
    return this.#next;
  }

  /** Resolves when nothing runs and nothing was asked for. */
  async settle(): Promise<void> {
    while (this.#running !== null || this.#next !== null) await (this.#next ?? this.#running);
  }

  async #run(): Promise<void> {
    try {
      await this.#task();
    } finally {
      this.#running = null;
    }
  }
}
