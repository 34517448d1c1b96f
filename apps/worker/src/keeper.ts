import { setTimeout as sleep } from "node:timers/promises";
import {
  finishRemoval,
  type KeepingStore,
  type LookPosition,
  type OutputStorage,
  type RemovedJob,
  type RetentionLimits,
  type ServerStore,
  StorageError,
  StoreUnavailableError,
  type TicketQueue,
  TicketsUnavailableError,
} from "@genga/jobs";
import { type KeepingSettings, type Logger } from "@genga/runtime";

export interface KeeperOptions {
  ownerId: string;
  store: KeepingStore;
  servers: Pick<ServerStore, "acquireNamedLease">;
  tickets: Pick<TicketQueue, "remove">;
  storage: Pick<OutputStorage, "remove" | "removeJobs">;
  settings: KeepingSettings;
  leaseMs: number;
  log: Logger;
}

/** Nobody has to fetch a result within the moment of its end, however small a limit is. */
export const retentionGraceMs = 60_000;
/** Small enough that submissions and ends of jobs hardly notice. */
const removedAtOnce = 200;
const batchesAtOnce = 10;
const foldedAtOnce = 5_000;
const filesAtOnce = 20;
const rowsAtOnce = 500;
/** Between two batches of the same step. */
const yieldMs = 50;
/** A removal whose tickets or files cannot be reached is tried again after so long. */
const putOffMs = 30_000;
/** Graphs that a submission stored ahead of its jobs have them long before. */
const unusedGraceMs = 60 * 60_000;
/** How often each step has its turn, in passes of a second. */
const every = { retention: 5, uploadFiles: 10, unused: 10, forget: 60 };

/**
 * Keeps house: removes what retention no longer keeps and what no job uses any more, finishes removals that somebody began,
 * and adds up the counts of ended jobs. One process at a time holds its lease; each step is small, and each is tried
 * whatever became of the others.
 */
export class Keeper {
  readonly #options: KeeperOptions;
  #passes = 0;
  #position: LookPosition = {};
  #areUploadsNoted = false;
  #hasMoreToRemove = false;

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  async tick(): Promise<void> {
    const { servers, ownerId, leaseMs } = this.#options;
    if (!(await servers.acquireNamedLease("keeping", ownerId, leaseMs))) return;
    const isTurn = (passes: number): boolean => this.#passes % passes === 0;
    await this.#step("counts", () => this.#foldCounts());
    await this.#step("removals", () => this.#inBatches(() => this.finishRemovals()));
    if (this.#hasMoreToRemove || isTurn(every.retention))
      await this.#step("retention", () => this.#inBatches(() => this.removeOverdue()));
    if (isTurn(every.uploadFiles)) await this.#step("files of uploads", () => this.#removeUploadFiles());
    if (!this.#areUploadsNoted || isTurn(every.forget))
      await this.#step("uploads", () => this.#noteUploads());
    if (isTurn(every.unused)) await this.#step("unused rows", () => this.#removeUnused());
    if (isTurn(every.forget)) await this.#step("removed ids", () => this.#forgetRemoved());
    this.#passes += 1;
  }

  /** One batch of jobs beyond the limits. @returns how many there were */
  async removeOverdue(limits: RetentionLimits = this.#options.settings.retention): Promise<number> {
    const { store, log } = this.#options;
    const overdue = await store.listOverdue(limits, { graceMs: retentionGraceMs, limit: removedAtOnce });
    this.#hasMoreToRemove = overdue.length === removedAtOnce;
    if (overdue.length === 0) return 0;
    const removed = new Set((await store.removeEnded(overdue.map(({ id }) => id))).map(({ id }) => id));
    for (const tenant of new Set(overdue.map(({ tenantName }) => tenantName))) {
      const gone = overdue.filter(({ id, tenantName }) => tenantName === tenant && removed.has(id));
      const bytes = gone.reduce((sum, job) => sum + job.bytes, 0);
      if (gone.length > 0) log.info({ tenant, jobs: gone.length, bytes }, "retention removed ended jobs");
    }
    return removed.size;
  }

  /** Tickets and files of removed jobs. @returns how many jobs there were */
  async finishRemovals(): Promise<number> {
    const { store } = this.#options;
    const pending = await store.listPendingRemovals(removedAtOnce);
    if (pending.length > 0) await this.#finish(pending);
    return pending.length;
  }

  /** Together; when one of them is odd, one by one, so that it does not keep the others. */
  async #finish(pending: RemovedJob[]): Promise<void> {
    const { store, log } = this.#options;
    const ids = pending.map(({ id }) => id);
    try {
      await finishRemoval(pending, this.#options);
      await store.finishRemovals(ids);
    } catch (error) {
      if (pending.length > 1 && !isAway(error)) {
        for (const one of pending) await this.#finish([one]);
        return;
      }
      log.warn(
        { err: error, jobIds: ids.slice(0, 3) },
        "tickets or files of removed jobs wait to be removed",
      );
      await store.putOffRemovals(ids, putOffMs);
    }
  }

  /**
   * A pass goes on while whole batches come, with a pause between them: a farm that ends a hundred jobs a second has as many
   * removed. Bounded, so that the other steps have their turn.
   */
  async #inBatches(work: () => Promise<number>): Promise<void> {
    for (let batch = 0; batch < batchesAtOnce; batch += 1) {
      if ((await work()) < removedAtOnce) return;
      await sleep(yieldMs);
    }
  }

  async #foldCounts(): Promise<void> {
    while ((await this.#options.store.foldCounts(foldedAtOnce)) === foldedAtOnce) await sleep(yieldMs);
  }

  async #removeUploadFiles(): Promise<void> {
    const { store, storage, log } = this.#options;
    const files = await store.removeUploadFiles(filesAtOnce, (keys) => storage.remove(keys));
    if (files > 0) log.info({ files }, "files of unused uploads were removed");
  }

  async #noteUploads(): Promise<void> {
    this.#areUploadsNoted = (await this.#options.store.noteUploads(rowsAtOnce)) < rowsAtOnce;
  }

  async #removeUnused(): Promise<void> {
    const { store, settings, log } = this.#options;
    const { removed, next } = await store.removeUnused({
      ...{ from: this.#position, limit: rowsAtOnce, graceMs: unusedGraceMs },
      uploadsUnusedMs: settings.uploadsUnusedMs,
    });
    this.#position = next;
    const { graphs, batches, uploads } = removed;
    if (graphs + batches + uploads > 0) log.info(removed, "rows that no job uses were removed");
  }

  async #forgetRemoved(): Promise<void> {
    const { store, settings, log } = this.#options;
    if (settings.removedIdsMs === null) return;
    const ids = await store.forgetRemoved(settings.removedIdsMs, foldedAtOnce);
    if (ids > 0) log.info({ ids }, "ids of jobs that were removed long ago were forgotten");
  }

  async #step(name: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#options.log.warn(
        { err: error, step: name },
        "a step of keeping house failed and will be repeated",
      );
    }
  }
}

/** To go on one by one would not help. */
function isAway(error: unknown): boolean {
  return (
    error instanceof TicketsUnavailableError ||
    error instanceof StoreUnavailableError ||
    (error instanceof StorageError && error.code === "storage-unavailable")
  );
}
