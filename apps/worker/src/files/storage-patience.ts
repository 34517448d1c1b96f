import { StorageError } from "@genga/jobs";

/** The job was cancelled while its outputs waited for the storage. */
export class SavingCancelled extends Error {
  override readonly name = "SavingCancelled";

  constructor() {
    super("The job was cancelled while its outputs waited for the storage.");
  }
}

export interface StoragePatienceOptions {
  watch: {
    /** A file could not be stored or read. @returns whether that is because the storage cannot be written to at all */
    isAway(error: StorageError): Promise<boolean>;
    /** Resolves when the storage can be written to, or after this time. @throws the signal's reason */
    untilWritable(waitMs: number, signal: AbortSignal): Promise<void>;
  };
  /** How long one job waits in all. */
  storageGraceMs: number;
  /** Stops the run. */
  signal: AbortSignal;
  cancelSignal: AbortSignal;
}

/** How long one job waits for a storage that cannot be used at all, instead of failing after a few tries. */
export class StoragePatience {
  readonly #options: StoragePatienceOptions;
  #awaySince: number | null = null;

  constructor(options: StoragePatienceOptions) {
    this.#options = options;
  }

  /**
   * Waits while the storage is away, if that caused this error.
   * @returns whether to try again: `false` if the storage works, or stays away for too long
   * @throws SavingCancelled @throws the reason of the run's stop
   */
  async outlasts(error: unknown): Promise<boolean> {
    const { watch, storageGraceMs, signal, cancelSignal } = this.#options;
    if (!(error instanceof StorageError) || !(await watch.isAway(error))) return false;
    this.#awaySince ??= performance.now();
    const leftMs = this.#awaySince + storageGraceMs - performance.now();
    if (leftMs <= 0) return false;
    try {
      await watch.untilWritable(leftMs, AbortSignal.any([signal, cancelSignal]));
    } catch (cause) {
      signal.throwIfAborted();
      if (cancelSignal.aborted) throw new SavingCancelled();
      throw cause;
    }
    return true;
  }
}
