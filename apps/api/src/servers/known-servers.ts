import { setTimeout as sleep } from "node:timers/promises";
import {
  type Actor,
  type FarmPause,
  type FarmStore,
  type KeepingStore,
  type NewAddedServer,
  type ServerSourcesStore,
  type ServerStore,
  type ServerUpkeep,
  type Signals,
  takesWork,
} from "@genga/jobs";
import { type DefinitionsStore, type HashedDefinitions, type KnownServer } from "@genga/workflows";
import { showFarm, type ShownFarm } from "./shown-farm.ts";

/** How long a submission that would be refused waits for the workers to read the servers' definitions again. */
const refreshTimeoutMs = 3_000;

export interface KnownServersOptions {
  servers: ServerStore;
  serverSources: Pick<ServerSourcesStore, "addServer" | "removeAdded">;
  upkeep: Pick<ServerUpkeep, "askRecycle">;
  keeping: Pick<KeepingStore, "listStorageHolds">;
  pauses: FarmStore;
  definitions: Pick<DefinitionsStore, "find">;
  signals: Signals;
  /** For how long a reading of the servers is reused. */
  maxAgeMs: number;
  /** A worker that was not seen for this long counts as dead. */
  leaseMs: number;
  /** A server is retired when none of the workers seen within this time names it. */
  retireMs: number;
  /** The name of this process in its requests to the workers. */
  name: string;
}

/** The servers and their definitions, read at intervals. Each set of definitions is parsed once. */
export class KnownServers {
  readonly #options: KnownServersOptions;
  readonly #readers = new Set<(serverId: string) => void>();
  #parsed = new Map<string, HashedDefinitions>();
  #latest: { readAt: number; farm: Promise<ShownFarm> } | undefined;
  #known: { farm: ShownFarm; servers: KnownServer[] } | undefined;

  constructor(options: KnownServersOptions) {
    this.#options = options;
    // While Redis is away this subscription waits, and submissions are judged by the definitions that are known.
    void options.signals.subscribe("definitions-read", ({ serverId }) => {
      for (const noteRead of this.#readers) noteRead(serverId);
    });
  }

  /** All servers, and how many workers are alive. @throws StoreUnavailableError */
  farm(): Promise<ShownFarm> {
    const now = performance.now();
    if (this.#latest !== undefined && now - this.#latest.readAt < this.#options.maxAgeMs)
      return this.#latest.farm;
    const farm = this.#readFarm();
    this.#latest = { readAt: now, farm };
    // A failed reading rejects for everybody who waits for it, and is not reused.
    farm.catch(() => {
      if (this.#latest?.farm === farm) this.#latest = undefined;
    });
    return farm;
  }

  /** Starts or stops new work on a server. `false` = there is no such server. */
  async setDraining(id: string, draining: boolean, by: Actor): Promise<boolean> {
    const isKnown = await this.#options.servers.setDraining(id, draining, by);
    this.#tellWorkers();
    return isKnown;
  }

  /** Asks the server's worker to recycle it. `false` = there is no such server. */
  async askRecycle(id: string, by: Actor): Promise<boolean> {
    const isKnown = await this.#options.upkeep.askRecycle(id, by);
    this.#tellWorkers();
    return isKnown;
  }

  /** From now on no server begins new work, until `resumeFarm`. */
  async pauseFarm(by: Actor): Promise<FarmPause> {
    const pause = await this.#options.pauses.pause(by);
    this.#tellWorkers();
    return pause;
  }

  async resumeFarm(by: Actor): Promise<void> {
    await this.#options.pauses.resume(by);
    this.#tellWorkers();
  }

  /** Adds a server, as the store does, and tells the workers. */
  async add(
    server: NewAddedServer,
    by: Actor,
    countMax: number,
  ): ReturnType<ServerSourcesStore["addServer"]> {
    const { serverSources, leaseMs } = this.#options;
    const outcome = await serverSources.addServer(server, by, { leaseMs, countMax });
    this.#tellWorkers();
    return outcome;
  }

  /** Takes out a server that was added, which then ends what it has; or removes a retired one. */
  async remove(id: string, by: Actor): Promise<"removed" | "in-use" | "absent"> {
    const { servers, serverSources, leaseMs, retireMs } = this.#options;
    if (await serverSources.removeAdded(id, by)) {
      this.#tellWorkers();
      return "removed";
    }
    const outcome = await servers.removeServer(id, { leaseMs, seenWithinMs: retireMs }, by);
    this.#latest = undefined;
    return outcome;
  }

  /** The servers whose node definitions are known. @throws StoreUnavailableError */
  async list(): Promise<readonly KnownServer[]> {
    const farm = await this.farm();
    if (this.#known?.farm === farm) return this.#known.servers;
    const parsed = new Map<string, HashedDefinitions>();
    const servers: KnownServer[] = [];
    for (const { id, definitionsHash, state, labels } of farm.servers) {
      if (definitionsHash === null || state === "retired") continue;
      const definitions = parsed.get(definitionsHash) ?? (await this.#definitions(definitionsHash));
      if (definitions === undefined) continue;
      parsed.set(definitionsHash, definitions);
      const { objectInfo, replacements } = definitions;
      servers.push({ id, definitionsHash, objectInfo, replacements, labels });
    }
    this.#parsed = parsed;
    this.#known = { farm, servers };
    return servers;
  }

  /** Asks the workers to read the definitions again. Waits until all workers that can have done so, for at most 3 s. */
  async refresh(): Promise<void> {
    const answering = (await this.farm()).servers.filter(({ state }) => takesWork(state));
    const waitingFor = new Set(answering.map(({ id }) => id));
    if (waitingFor.size > 0) await this.#askWorkers(waitingFor);
    this.#latest = undefined;
  }

  async #readFarm(): Promise<ShownFarm> {
    const { servers, pauses, keeping, leaseMs, retireMs } = this.#options;
    const [records, workers, pause, storageHolds] = await Promise.all([
      servers.listServers(),
      servers.listRecentWorkers(leaseMs, retireMs),
      pauses.findPause(),
      keeping.listStorageHolds(leaseMs),
    ]);
    return { ...showFarm(records, workers, pause), storageHolds };
  }

  /** Workers read the requests of operators once a second; the signal makes them read at once. */
  #tellWorkers(): void {
    this.#latest = undefined;
    this.#options.signals.publish("operator-request", { requestedBy: this.#options.name });
  }

  async #askWorkers(waitingFor: Set<string>): Promise<void> {
    const allRead = new AbortController();
    const noteRead = (serverId: string): void => {
      waitingFor.delete(serverId);
      if (waitingFor.size === 0) allRead.abort();
    };
    this.#readers.add(noteRead);
    this.#options.signals.publish("definitions-wanted", { requestedBy: this.#options.name });
    await sleep(refreshTimeoutMs, undefined, { signal: allRead.signal }).catch(() => undefined);
    this.#readers.delete(noteRead);
  }

  async #definitions(hash: string): Promise<HashedDefinitions | undefined> {
    return this.#parsed.get(hash) ?? (await this.#options.definitions.find(hash)) ?? undefined;
  }
}
