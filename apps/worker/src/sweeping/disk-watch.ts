import { type KeepingStore, type OutputStorage } from "@genga/jobs";
import { type Logger } from "@genga/runtime";

export interface DiskWatchOptions {
  workerId: string;
  storage: Pick<OutputStorage, "freeBytes">;
  store: Pick<KeepingStore, "noteFullDisk" | "noteRoom">;
  /** 0 = the disk is not checked. */
  wantedBytes: number;
  /** There is room again. */
  onRoom: () => void;
  log: Logger;
}

/** This much more than is wanted has to be free again, so that a worker does not begin and stop with every file. */
const resumeFactor = 1.1;

/**
 * Whether there is room for the outputs of new jobs. With a disk that is nearly full a worker claims nothing, rather than
 * render job by job of its backlog for nothing; what runs already is still saved, into the room that is left.
 */
export class DiskWatch {
  readonly #options: DiskWatchOptions;
  #isFull = false;

  constructor(options: DiskWatchOptions) {
    this.#options = options;
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  /** One check. The result is also noted in the database for the other workers, where it counts for as long as it is renewed. */
  async tick(): Promise<void> {
    const { workerId, storage, store, wantedBytes, onRoom, log } = this.#options;
    if (wantedBytes === 0) return;
    const freeBytes = await storage.freeBytes();
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
