/**
 * Runs one task at a time, and once more afterwards if it was asked for meanwhile: any number of triggers, at most two
 * runs. The task must not reject.
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
    if (this.#next !== null) return this.#next;
    if (this.#running === null) return this.#run();
    this.#next = this.#runAfter(this.#running);
    return this.#next;
  }

  /** Resolves when nothing runs and nothing was asked for. */
  async whenIdle(): Promise<void> {
    while (this.#running !== null || this.#next !== null) await (this.#next ?? this.#running);
  }

  async #runAfter(running: Promise<void>): Promise<void> {
    await running;
    this.#next = null;
    await this.#run();
  }

  #run(): Promise<void> {
    this.#running = this.#task().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }
}
