import { StoreUnavailableError } from "@genga/jobs";
import { type Credential } from "./credentials.ts";

export interface KeyWatchOptions {
  /** Which of these credentials still work. Asks the database once for all of them. */
  findWorking: (credentials: readonly Credential[]) => Promise<ReadonlySet<Credential>>;
  /** Pause between two checks. */
  checkEveryMs: number;
  /** Ends the checks. */
  signal: AbortSignal;
  log: { error(details: object, message: string): void };
}

interface Watched {
  credential: Credential;
  onRefused: () => void;
}

/**
 * A key or session is checked when a request begins, but an event stream may go on for hours after that. So those of all
 * open streams are checked together at intervals, and each stream whose key was revoked, or whose session has ended, is told. A check that
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
   * Calls `onRefused` once, when a check finds that this does not let requests in any more.
   * @returns ends the watch
   */
  watch(credential: Credential, onRefused: () => void): () => void {
    const watched = { credential, onRefused };
    this.#watched.add(watched);
    return () => {
      this.#watched.delete(watched);
    };
  }

  /** Checks everything that is watched once. */
  async tick(): Promise<void> {
    const looked = [...this.#watched];
    if (looked.length === 0) return;
    try {
      const working = await this.#options.findWorking(looked.map(({ credential }) => credential));
      for (const watched of looked) {
        if (!working.has(watched.credential) && this.#watched.delete(watched)) watched.onRefused();
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
