import { partialFileAgeMs } from "@genga/jobs";
import { type Dependencies } from "../dependencies.ts";
import { EndedPrompts } from "../servers/ended-prompts.ts";
import { Keeper } from "./keeper.ts";
import { type OwnedServer } from "../servers/owned-server.ts";
import { StorageWatch, type StorageWatchOptions } from "./storage-watch.ts";
import { startTicker } from "../timing/ticker.ts";

const intervalMs = 1_000;
const partialFilesIntervalMs = 10 * 60_000;

/** The maintenance that a worker does besides its jobs, so that tables, disks and servers' histories do not fill up. */
export class HouseKeeping {
  readonly storage: StorageWatch;
  readonly endedPrompts: EndedPrompts;
  readonly #keeper: Keeper;
  readonly #with: Dependencies;

  /** @param options.onStorage called when outputs cannot be stored, and when they can again (`null`) */
  constructor(
    dependencies: Dependencies,
    options: { servers: () => readonly OwnedServer[]; onStorage: StorageWatchOptions["onChange"] },
  ) {
    const {
      keeping: store,
      eventSequencer: events,
      webhookQueue: webhooks,
      signals,
      servers,
      tickets,
      storage,
      settings,
      workerId,
      log,
    } = dependencies;
    this.#with = dependencies;
    this.storage = new StorageWatch({
      ...{ workerId, storage, store, log, onChange: options.onStorage },
      wantedBytes: settings.keeping.diskFreeBytes,
    });
    this.endedPrompts = new EndedPrompts({ store, servers: options.servers, log });
    this.#keeper = new Keeper({
      ...{ ownerId: workerId, store, events, webhooks, servers, tickets, storage, log },
      ...{ settings: settings.keeping, leaseMs: settings.leaseMs },
      onDeliveries: (deliveries) => {
        signals.publish("deliveries-due", { deliveries });
      },
    });
  }

  /** @returns functions that stop the maintenance */
  start(): (() => Promise<void>)[] {
    const { log, settings } = this.#with;
    const storageIntervalMs = settings.leaseMs / 3;
    return [
      startTicker({ name: "storage", intervalMs: storageIntervalMs, tick: () => this.storage.check(), log }),
      startTicker({
        ...{ name: "record of the storage", intervalMs: storageIntervalMs, log },
        tick: () => this.storage.record(),
      }),
      startTicker({ name: "keeping", intervalMs, tick: () => this.#keeper.tick(), log }),
      () => this.#keeper.stop(),
      startTicker({ name: "ended prompts", intervalMs, tick: () => this.endedPrompts.tick(), log }),
      startTicker({
        name: "partial files",
        intervalMs: partialFilesIntervalMs,
        // Every worker does this, not only the keeper: with a bucket, partial files are on the disk of each machine.
        tick: () => this.#sweepPartialFiles(),
        log,
      }),
    ];
  }

  /** Removes partial files that writers left when they crashed. */
  async #sweepPartialFiles(): Promise<void> {
    const files = await this.#with.storage.sweepPartialFiles(partialFileAgeMs);
    if (files > 0) this.#with.log.info({ files }, "half-written files were removed");
  }
}
