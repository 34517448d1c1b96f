import { reasonOf } from "./pauses.ts";

/**
 * Several signals and time limits as one signal, which ends with the work: unlike with `AbortSignal.any`, nothing stays with
 * signals that live long.
 */
export class Deadline {
  readonly #ended = new AbortController();
  readonly #releases = new Set<() => void>();

  constructor(...signals: readonly (AbortSignal | undefined)[]) {
    for (const signal of signals) {
      if (signal === undefined) continue;
      const abort = (): void => {
        this.abort(reasonOf(signal));
      };
      if (signal.aborted) abort();
      signal.addEventListener("abort", abort, { once: true });
      this.#releases.add(() => {
        signal.removeEventListener("abort", abort);
      });
    }
  }

  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  abort(reason: Error): void {
    this.#ended.abort(reason);
  }

  /** Aborts after a time, unless the returned function is called before. */
  limit(ms: number, reason: () => Error): () => void {
    const timer = setTimeout(() => {
      this.#releases.delete(release);
      this.abort(reason());
    }, ms);
    const release = (): void => {
      clearTimeout(timer);
      this.#releases.delete(release);
    };
    this.#releases.add(release);
    return release;
  }

  /** Lets go of all signals and timers. */
  end(): void {
    for (const release of this.#releases) release();
    this.#releases.clear();
  }
}
