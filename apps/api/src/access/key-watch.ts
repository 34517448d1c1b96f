import { StoreUnavailableError } from "@genga/jobs";

export interface KeyWatchOptions {
  /**
   * Which of these keys still work; `""` stands for a request without a key. Asks the database once for all of them.
   */
  findWorking: (keys: ReadonlySet<string>) => Promise<ReadonlySet<string>>;
  /** Pause between two checks. */
  checkEveryMs: number;
  /** Ends the checks. */
  signal: AbortSignal;
  log: { error(details: object, message: string): void };
}

interface Watched {
  key: string;
  onRefused: () => void;
}

/**
 * A key is checked when a request begins, but an event stream may go on for hours after that. So the keys of all open
 * streams are checked together at intervals, and each stream whose key was revoked or has expired is told. A check that
 * fails because the database is unavailable tells nobody anything.
 */
export class KeyWatch {
  readonly #options: KeyWatchOptions;
  readonly #watched = new Set<Watched>();

  constructor(options: KeyWatchOptions) {
    this.#options = options;
    this.#plan();
  }

  /**
   * Calls `onRefused` once, when a check finds that the key does not work any more.
   * @param key as the client sent it; `""` = the request had none
   * @returns ends the watch
   */
  watch(key: string, onRefused: () => void): () => void {
    const watched = { key, onRefused };
    this.#watched.add(watched);
    return () => {
      this.#watched.delete(watched);
    };
  }

  /** Checks all watched keys once. */
  async tick(): Promise<void> {
    const looked = [...this.#watched];
    if (looked.length === 0) return;
    try {
      const working = await this.#options.findWorking(new Set(looked.map(({ key }) => key)));
      for (const watched of looked) {
        if (!working.has(watched.key) && this.#watched.delete(watched)) watched.onRefused();
      }
    } catch (error) {
      if (error instanceof StoreUnavailableError) return;
      this.#options.log.error({ err: error }, "the keys of open streams could not be checked");
    }
  }

  /** Plans the next check only after the last one has ended, so that checks never overlap when the database is slow. */
  #plan(): void {
    const { checkEveryMs, signal } = this.#options;
    if (signal.aborted) return;
    const stop = (): void => {
      clearTimeout(timer);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      void this.tick().finally(() => {
        this.#plan();
      });
    }, checkEveryMs).unref();
    signal.addEventListener("abort", stop, { once: true });
  }
}
