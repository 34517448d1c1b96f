import { type KeepingStore, type OutputStorage } from "@genga/jobs";
import { type Logger } from "@genga/runtime";

export interface DiskWatchOptions {
  workerId: string;
  storage: Pick<OutputStorage, "freeBytes">;
  store: Pick<KeepingStore, "noteFullDisk" | "noteRoom">;
  /** The free space that the disk needs; 0 = the disk is not checked. */
  wantedBytes: number;
  /** Called when the disk has enough free space again. */
  onRoom: () => void;
  log: Logger;
}

/**
 * A full disk must have this many times the wanted space before jobs begin again; otherwise a worker might stop and
 * start with every file.
 */
const resumeFactor = 1.1;

/**
 * Checks whether the disk has room for the outputs of new jobs. While it is nearly full, the worker claims no jobs,
 * because they would be rendered and could not be saved. Jobs that already run are saved in the remaining space.
 */
export class DiskWatch {
  readonly #options: DiskWatchOptions;
  #isFull = false;
  #freeBytes: number | null = null;

  constructor(options: DiskWatchOptions) {
    this.#options = options;
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  /** The free and the wanted space; `null` = the disk is not checked, or was not yet. */
  get room(): { freeBytes: number; wantedBytes: number } | null {
    const { wantedBytes } = this.#options;
    return this.#freeBytes === null ? null : { freeBytes: this.#freeBytes, wantedBytes };
  }

  /**
   * Checks the disk once. A full disk is also recorded in the database, so that other processes can show it. The record
   * counts for as long as it is renewed.
   */
  async tick(): Promise<void> {
    const { workerId, storage, store, wantedBytes, onRoom, log } = this.#options;
    if (wantedBytes === 0) return;
    const freeBytes = await storage.freeBytes();
    this.#freeBytes = freeBytes;
    const wasFull = this.#isFull;
    this.#isFull = freeBytes < (wasFull ? wantedBytes * resumeFactor : wantedBytes);
    if (this.#isFull) {
      if (!wasFull)
        log.warn({ freeBytes, wantedBytes }, "the disk is nearly full; no job is begun until there is room");
      await store.noteFullDisk({ workerId, freeBytes, wantedBytes });
    } else if (wasFull) {
      log.info({ freeBytes }, "there is room on the disk again; jobs are begun");
      onRoom();
      await store.noteRoom(workerId);
    }
  }
}
