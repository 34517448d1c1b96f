import { EventEmitter, once, setMaxListeners } from "node:events";
import { type KeepingStore, type OutputStorage, StorageError } from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { type StorageProblem } from "../servers/storage-hold.ts";
import { Coalescer } from "../timing/coalescer.ts";

export interface StorageWatchOptions {
  workerId: string;
  storage: Pick<OutputStorage, "freeBytes" | "assertWritable">;
  store: Pick<KeepingStore, "noteStorageHold" | "noteStorageFree">;
  /** The free space that the disk needs; 0 = the space is not checked. */
  wantedBytes: number;
  /** Called when jobs may not be begun any more (`null` = they may again), and when the reason is another one. */
  onChange: (problem: StorageProblem | null) => void;
  log: Logger;
}

/**
 * A full disk must have this many times the wanted space before jobs begin again; otherwise a worker might stop and
 * start with every file.
 */
const resumeFactor = 1.1;
/** Errors that may be the storage's own. The others are about one file. */
const faultCodes: ReadonlySet<string> = new Set(["storage-unavailable", "storage-refused", "storage-full"]);

/**
 * Knows whether the outputs of new jobs could be stored. While the disk is nearly full, or the storage cannot be written to,
 * the worker claims no jobs, because they would be rendered and could not be saved. Jobs that already run go on; what is
 * rendered is saved in the remaining space, or when the storage is back.
 *
 * The free space is checked in each pass; whether the storage can be written to only once a file could not be stored or the
 * space could not be read, and then in each pass until it can.
 */
export class StorageWatch {
  readonly #options: StorageWatchOptions;
  readonly #checks = new Coalescer(() => this.#check());
  readonly #changes = new EventEmitter<{ writable: [] }>();
  #isFull = false;
  #freeBytes: number | null = null;
  /** Why the storage cannot be written to, or perhaps cannot. */
  #fault: StorageError | null = null;
  #problem: StorageProblem | null = null;
  #isRecorded = false;

  constructor(options: StorageWatchOptions) {
    this.#options = options;
    // One for each run that waits for the storage.
    setMaxListeners(0, this.#changes);
  }

  /** Why no job is begun; `null` = jobs are begun. */
  get problem(): StorageProblem | null {
    return this.#problem;
  }

  /** The free and the wanted space; `null` = the disk is not checked, or was not yet. */
  get room(): { freeBytes: number; wantedBytes: number } | null {
    const { wantedBytes } = this.#options;
    return this.#freeBytes === null ? null : { freeBytes: this.#freeBytes, wantedBytes };
  }

  /** Checks the storage once, which may take long while it does not answer. */
  async check(): Promise<void> {
    await this.#checks.trigger();
  }

  /**
   * Records a problem in the database, so that other processes can show it, or that there is none any more. A record counts
   * for as long as it is renewed.
   */
  async record(): Promise<void> {
    const { workerId, store, wantedBytes } = this.#options;
    if (this.#problem !== null) {
      this.#isRecorded = true;
      const fault = this.#fault?.message ?? null;
      await store.noteStorageHold({ workerId, freeBytes: this.#freeBytes ?? 0, wantedBytes, fault });
    } else if (this.#isRecorded) {
      await store.noteStorageFree(workerId);
      this.#isRecorded = false;
    }
  }

  /** A file could not be stored or read. @returns whether that is because the storage cannot be written to at all */
  async isAway(error: StorageError): Promise<boolean> {
    if (!faultCodes.has(error.code)) return false;
    this.#fault ??= error;
    await this.#checks.trigger();
    return this.#isUnwritable;
  }

  /** Resolves when the storage can be written to, or after this time. @throws the signal's reason */
  async untilWritable(waitMs: number, signal: AbortSignal): Promise<void> {
    if (this.#fault === null) return;
    const late = new AbortController();
    const timer = setTimeout(() => {
      late.abort();
    }, waitMs);
    try {
      await once(this.#changes, "writable", { signal: AbortSignal.any([signal, late.signal]) });
    } catch {
      signal.throwIfAborted();
    } finally {
      clearTimeout(timer);
    }
  }

  get #isUnwritable(): boolean {
    return this.#fault !== null;
  }

  async #check(): Promise<void> {
    const { storage, wantedBytes } = this.#options;
    const wasAway = this.#fault !== null;
    try {
      if (wantedBytes > 0) this.#noteFreeBytes(await storage.freeBytes());
      if (this.#fault !== null) await storage.assertWritable();
      this.#fault = null;
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      this.#fault = error;
    }
    this.#tellChange();
    if (wasAway && this.#fault === null) this.#changes.emit("writable");
  }

  #noteFreeBytes(freeBytes: number): void {
    const { wantedBytes } = this.#options;
    this.#freeBytes = freeBytes;
    this.#isFull = freeBytes < (this.#isFull ? wantedBytes * resumeFactor : wantedBytes);
  }

  #tellChange(): void {
    const { onChange, log } = this.#options;
    const before = this.#problem;
    this.#problem = this.#findProblem();
    if (this.#problem?.hold === before?.hold) return;
    const { freeBytes, wantedBytes } = this.room ?? {};
    if (this.#problem === null)
      log.info({ freeBytes }, "outputs can be stored again, and there is room; jobs are begun");
    else if (this.#fault === null)
      log.warn({ freeBytes, wantedBytes }, "the disk is nearly full; no job is begun until there is room");
    else log.warn({ err: this.#fault }, "the storage cannot be written to; no job is begun until it is back");
    onChange(this.#problem);
  }

  #findProblem(): StorageProblem | null {
    if (this.#fault !== null) {
      const reason = `Its worker cannot write to the storage for outputs: ${this.#fault.message}`;
      return { hold: "storage-unavailable", reason };
    }
    return this.#isFull
      ? { hold: "storage-full", reason: "The disk on which its worker stores outputs is nearly full." }
      : null;
  }
}
