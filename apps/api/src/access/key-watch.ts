import { StoreUnavailableError } from "@genga/jobs";

export interface KeyWatchOptions {
  /** Which of these keys still let their senders in; `""` stands for no key. Asks the database once for all of them. */
  findWorking: (keys: ReadonlySet<string>) => Promise<ReadonlySet<string>>;
  /** Pause between two looks. */
  lookEveryMs: number;
  /** Ends the looks. */
  signal: AbortSignal;
  log: { error(details: object, message: string): void };
}

interface Watched {
  key: string;
  onRefused: () => void;
}

/**
 * Keys are checked when a request begins, and an event stream may go on for hours after that. This looks at the keys of
 * all open streams together, again and again, and tells the streams whose key was revoked or has expired. While the
 * database is away nothing is known, so nothing is told.
 */
export class KeyWatch {
  readonly #options: KeyWatchOptions;
  readonly #watched = new Set<Watched>();

  constructor(options: KeyWatchOptions) {
    this.#options = options;
    this.#plan();
  }

  /**
   * Calls `onRefused` once when a look finds that the key does not work any more.
   * @param key as it was sent; `""` = none was
   * @returns ends the watch
   */
  watch(key: string, onRefused: () => void): () => void {
    const watched = { key, onRefused };
    this.#watched.add(watched);
    return () => {
      this.#watched.delete(watched);
    };
  }

  /** One look at the keys of everything that is watched. */
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

  /** The next look begins after the last one has ended, however slow the database is. */
  #plan(): void {
    const { lookEveryMs, signal } = this.#options;
    if (signal.aborted) return;
    const stop = (): void => {
      clearTimeout(timer);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      void this.tick().finally(() => {
        this.#plan();
      });
    }, lookEveryMs).unref();
    signal.addEventListener("abort", stop, { once: true });
  }
}
