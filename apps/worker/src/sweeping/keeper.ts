import { setTimeout as sleep } from "node:timers/promises";
import {
  type EventSequencer,
  finishRemoval,
  type KeeperWork,
  type KeepingStore,
  type ScanPosition,
  type OutputStorage,
  type RemovedJob,
  type RetentionLimits,
  type ServerStore,
  StorageError,
  StoreUnavailableError,
  type TicketQueue,
  TicketsUnavailableError,
  untoldKeptMs,
  untoldOfClientMax,
  type WebhookQueue,
} from "@genga/jobs";
import { type KeepingSettings, type Logger } from "@genga/runtime";

export interface KeeperOptions {
  ownerId: string;
  store: KeepingStore;
  events: EventSequencer;
  webhooks: Pick<WebhookQueue, "removeOld">;
  /** Something waits to be sent to webhooks. */
  onDeliveries: (deliveries: number) => void;
  servers: Pick<ServerStore, "acquireNamedLease">;
  tickets: Pick<TicketQueue, "remove">;
  storage: Pick<OutputStorage, "remove" | "removeJobs" | "removeLeftovers">;
  settings: KeepingSettings;
  leaseMs: number;
  log: Logger;
}

/** A job stays at least this long after its end, however small the limits are, so that clients can fetch its result. */
export const retentionGraceMs = 60_000;
/** Small enough that a batch hardly delays submissions and ends of jobs. */
const removedAtOnce = 200;
const foldedAtOnce = 5_000;
const positionedAtOnce = 2_000;
const filesAtOnce = 20;
const rowsAtOnce = 500;
/** The pause between two batches of the same step is as long as the last batch took, within these bounds. */
const restMs = { least: 20, most: 500 };
/** If the tickets or files of a removed job cannot be removed now, they are tried again after this time. */
const putOffMs = 30_000;
/** Graphs are stored shortly before their jobs, so a graph of this age without a job is unused. */
const unusedGraceMs = 60 * 60_000;
/** A server keeps its queue and history in memory. One that was unreachable for this long has restarted, or is gone. */
const promptsKeptMs = 30 * 24 * 60 * 60_000;

/** How long an Idempotency-Key outlives its job. */
const keysOutliveMs = 24 * 60 * 60_000;

/** Charts show two days. */
const endCountsKeptMs = 49 * 60 * 60_000;

/** The lanes of yesterday's work stay, with what was measured of them. */
const lanesUnusedMs = 24 * 60 * 60_000;

/** The latest events of all jobs that a subscriber can still resume from; some 200 MB of tables and indexes. */
const positionsKept = 1_000_000;

interface Step {
  name: string;
  /** The step runs every so many passes; a pass is one second. */
  everyPasses: number;
  /** Of steps that would ask for their work every second: whether there is any. */
  isDue?: (work: KeeperWork) => boolean;
  work: () => Promise<unknown>;
}

/**
 * Removes jobs that exceed retention limits and rows that no job uses, finishes removals, adds up the counts of ended
 * jobs, and gives events their positions. One process at a time holds the lease for this. The steps run side by side, so
 * that a step that waits or fails does not delay the others, and files of removed jobs are deleted while the rows of the
 * next jobs are.
 */
export class Keeper {
  readonly #options: KeeperOptions;
  readonly #steps: readonly Step[] = [
    { name: "counts", everyPasses: 1, isDue: ({ hasCounts }) => hasCounts, work: () => this.#foldCounts() },
    {
      name: "positions of events",
      everyPasses: 1,
      isDue: ({ hasEvents }) => hasEvents,
      work: () => this.#assignPositions(),
    },
    { name: "old positions of events", everyPasses: 10, work: () => this.#removeOldPositions() },
    {
      name: "removals",
      everyPasses: 1,
      isDue: ({ hasRemovals }) => hasRemovals,
      work: () => this.#whileMore(() => this.finishRemovals()),
    },
    { name: "retention", everyPasses: 5, work: () => this.#whileMore(() => this.removeOverdue()) },
    { name: "files of uploads", everyPasses: 10, work: () => this.#removeUploadFiles() },
    {
      name: "unused rows",
      everyPasses: 10,
      work: () => this.#whileMore(() => this.#removeUnused(), rowsAtOnce),
    },
    { name: "uploads", everyPasses: 60, work: () => this.#noteUploads() },
    { name: "prompts to forget", everyPasses: 60, work: () => this.#giveUpPrompts() },
    { name: "removed ids", everyPasses: 60, work: () => this.#forgetRemoved() },
    { name: "lanes", everyPasses: 60, work: () => this.#removeLanes() },
    { name: "webhooks", everyPasses: 60, work: () => this.#removeDeliveries() },
    { name: "end counts", everyPasses: 60, work: () => this.#options.store.forgetEndCounts(endCountsKeptMs) },
    { name: "idempotency keys", everyPasses: 60, work: () => this.#forgetKeys() },
    { name: "sessions", everyPasses: 60, work: () => this.#removeSessions() },
    { name: "untold ends", everyPasses: 60, work: () => this.#removeDoorEnds() },
    { name: "untold ends of one client", everyPasses: 600, work: () => this.#removeExcessDoorEnds() },
  ];
  readonly #running = new Map<Step, Promise<void>>();
  readonly #stopping = new AbortController();
  #isHolder = false;
  #passes = 0;
  #position: ScanPosition = {};

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** Renews the lease and begins each step that has its turn, has work and does not run already. Does not wait for the steps. */
  async tick(): Promise<void> {
    const { servers, ownerId, leaseMs } = this.#options;
    let isHolder = false;
    try {
      isHolder = await servers.acquireNamedLease("keeping", ownerId, leaseMs);
    } finally {
      this.#isHolder = isHolder;
    }
    if (!this.#mayGoOn) return;
    const work = await this.#options.store.findKeeperWork();
    for (const step of this.#steps) {
      const isDue = this.#passes % step.everyPasses === 0 && (step.isDue?.(work) ?? true);
      if (isDue && !this.#running.has(step)) this.#begin(step);
    }
    this.#passes += 1;
  }

  /** Waits for the running batches, and begins no more. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#running.values());
  }

  /** Removes one batch of jobs beyond the limits. @returns how many jobs were beyond them */
  async removeOverdue(limits: RetentionLimits = this.#options.settings.retention): Promise<number> {
    const { store, log } = this.#options;
    const overdue = await store.listOverdue(limits, { graceMs: retentionGraceMs, limit: removedAtOnce });
    if (overdue.length === 0) return 0;
    const removed = new Set((await store.removeEnded(overdue.map(({ id }) => id))).map(({ id }) => id));
    for (const tenant of new Set(overdue.map(({ tenantName }) => tenantName))) {
      const gone = overdue.filter(({ id, tenantName }) => tenantName === tenant && removed.has(id));
      const bytes = gone.reduce((sum, job) => sum + job.bytes, 0);
      if (gone.length > 0) log.info({ tenant, jobs: gone.length, bytes }, "retention removed ended jobs");
    }
    return removed.size;
  }

  /** Removes tickets and files of one batch of removed jobs. @returns how many jobs the batch had */
  async finishRemovals(): Promise<number> {
    const { store } = this.#options;
    const pending = await store.listPendingRemovals(removedAtOnce);
    if (pending.length > 0) await this.#finish(pending);
    return pending.length;
  }

  /**
   * Tries all jobs together. If that fails because of one of them, tries them one by one, so that the others are
   * finished.
   */
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

  get #mayGoOn(): boolean {
    return this.#isHolder && !this.#stopping.signal.aborted;
  }

  /**
   * Repeats a step's batches as long as there is more work, so that a farm can remove jobs as fast as it ends them. The
   * pauses are as long as the batches, so that database and disk are free for other work at least half of the time.
   * @param work processes one batch; returns how many items it had
   */
  async #whileMore(work: () => Promise<number>, atOnce = removedAtOnce): Promise<void> {
    while (this.#mayGoOn) {
      const begunAt = performance.now();
      // Other transactions may have locked a few items of a batch. If a batch has less than half of the possible items,
      // the rest waits for the next pass.
      if ((await work()) * 2 < atOnce) return;
      const tookMs = performance.now() - begunAt;
      const rest = Math.min(Math.max(tookMs, restMs.least), restMs.most);
      await sleep(rest, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
    }
  }

  #foldCounts(): Promise<void> {
    return this.#whileMore(() => this.#options.store.foldCounts(foldedAtOnce), foldedAtOnce);
  }

  /** No subscriber waits for this: events are told live, and their positions are only for those who come back. */
  #assignPositions(): Promise<void> {
    const { events, onDeliveries } = this.#options;
    const assign = async (): Promise<number> => {
      const assigned = await events.assignPositions(positionedAtOnce);
      if (assigned.deliveries > 0) onDeliveries(assigned.deliveries);
      return assigned.mayBeMore ? positionedAtOnce : 0;
    };
    return this.#whileMore(assign, positionedAtOnce);
  }

  #removeOldPositions(): Promise<void> {
    const { events } = this.#options;
    return this.#whileMore(() => events.removeOldPositions(positionsKept, foldedAtOnce), foldedAtOnce);
  }

  async #removeUploadFiles(): Promise<void> {
    const { store, storage, log } = this.#options;
    const files = await store.removeUploadFiles(filesAtOnce, (keys) => storage.remove(keys));
    if (files > 0) log.info({ files }, "files of unused uploads were removed");
  }

  #noteUploads(): Promise<void> {
    return this.#whileMore(() => this.#options.store.noteUploads(rowsAtOnce), rowsAtOnce);
  }

  /** @returns how many expired assets were removed, of which there may be far more than of the rest */
  async #removeUnused(): Promise<number> {
    const { store, settings, log } = this.#options;
    const { removed, next } = await store.removeUnused({
      ...{ from: this.#position, limit: rowsAtOnce, graceMs: unusedGraceMs },
      uploadsUnusedMs: settings.uploadsUnusedMs,
    });
    this.#position = next;
    const { graphs, batches, uploads, templates, expiredAssets } = removed;
    if (graphs + batches + uploads + templates > 0) log.info(removed, "rows that no job uses were removed");
    return expiredAssets;
  }

  /** What was sent to webhooks long ago, and webhooks that nobody needs any more. */
  #removeDeliveries(): Promise<void> {
    const { webhooks, settings } = this.#options;
    const remove = async (): Promise<number> => {
      const removed = await webhooks.removeOld(settings.webhookDeliveriesMs, foldedAtOnce);
      return Math.max(removed.deliveries, removed.webhooks);
    };
    return this.#whileMore(remove, foldedAtOnce);
  }

  async #forgetKeys(): Promise<void> {
    await this.#whileMore(() => this.#options.store.forgetKeys(keysOutliveMs, rowsAtOnce), rowsAtOnce);
  }

  #removeSessions(): Promise<void> {
    return this.#whileMore(() => this.#options.store.removeEndedSessions(rowsAtOnce), rowsAtOnce);
  }

  #removeDoorEnds(): Promise<void> {
    const remove = (): Promise<number> => this.#options.store.removeDoorEnds(untoldKeptMs, rowsAtOnce);
    return this.#whileMore(remove, rowsAtOnce);
  }

  #removeExcessDoorEnds(): Promise<void> {
    const { store } = this.#options;
    const remove = (): Promise<number> => store.removeExcessDoorEnds(untoldOfClientMax, foldedAtOnce);
    return this.#whileMore(remove, foldedAtOnce);
  }

  async #removeLanes(): Promise<void> {
    const lanes = await this.#options.store.removeUnusedLanes(lanesUnusedMs, rowsAtOnce);
    if (lanes > 0) this.#options.log.info({ lanes }, "lanes that no job was in for a day were removed");
  }

  async #forgetRemoved(): Promise<void> {
    const { store, settings, log } = this.#options;
    if (settings.removedIdsMs === null) return;
    const ids = await store.forgetRemoved(settings.removedIdsMs, foldedAtOnce);
    if (ids > 0) log.info({ ids }, "ids of jobs that were removed long ago were forgotten");
  }

  async #giveUpPrompts(): Promise<void> {
    const prompts = await this.#options.store.giveUpPrompts(promptsKeptMs, foldedAtOnce);
    const message =
      "ended prompts are not looked for any more: their servers could not be reached for a month";
    if (prompts > 0) this.#options.log.info({ prompts }, message);
  }

  #begin(step: Step): void {
    const running = step
      .work()
      .then(() => undefined)
      .catch((error: unknown) => {
        const message = "a step of keeping house failed and will be repeated";
        this.#options.log.warn({ err: error, step: step.name }, message);
      })
      .finally(() => {
        this.#running.delete(step);
      });
    this.#running.set(step, running);
  }
}

/** Redis, the database or the storage is unavailable, so trying the jobs one by one would fail, too. */
function isAway(error: unknown): boolean {
  return (
    error instanceof TicketsUnavailableError ||
    error instanceof StoreUnavailableError ||
    (error instanceof StorageError && error.code === "storage-unavailable")
  );
}
