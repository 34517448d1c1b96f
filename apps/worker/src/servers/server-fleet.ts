import { hostname } from "node:os";
import { type ServerQueue } from "@genga/comfyui";
import { type ServerLease, type ServerRecord, type ServerStore, type WorkerRecord } from "@genga/jobs";
import { type ComfyUIAddress, identityOfUrl, isLoopback, type Logger } from "@genga/runtime";
import { type DefinitionsStore } from "@genga/workflows";
import { planFleet } from "./fleet-plan.ts";
import { type OutageGuard } from "../timing/outage-guard.ts";
import { OwnedServer } from "./owned-server.ts";

export interface ServerFleetOptions {
  workerId: string;
  servers: ServerStore;
  definitions: DefinitionsStore;
  addresses: readonly ComfyUIAddress[];
  slots: number;
  /** Labels of servers, by their URLs. */
  labels: ReadonlyMap<string, readonly string[]>;
  leaseMs: number;
  graceMs: number;
  stallMs: number;
  guard: OutageGuard;
  log: Logger;
  /** Where this worker serves `/health` and `/metrics`. */
  statusUrl: () => string | null;
  onReady: (server: OwnedServer) => void;
  onDefinitionsRead: (serverId: string) => void;
  onQueueSeen: (server: OwnedServer, queue: ServerQueue) => Promise<void>;
  /**
   * Called when this worker's lease of the server was lost or handed over. The runs on it must end without writing
   * anything.
   */
  onGone: (server: OwnedServer, why: "lease-lost" | "hand-over") => Promise<void>;
}

const leavingReason = "Its worker takes no new jobs: it was told to drain.";

/**
 * Decides which servers this worker owns: its fair share of those in its configuration (`fleet-plan.ts`). So a new
 * worker gets a part of the load, and a dead worker's servers are taken over when their leases have expired.
 */
export class ServerFleet {
  readonly #options: ServerFleetOptions;
  readonly #owned = new Map<string, OwnedServer>();
  #configured: ServerRecord[] | null = null;
  /** The address of each server, by the server's id. */
  #addresses = new Map<string, ComfyUIAddress>();
  readonly #warnedOf = new Set<string>();
  readonly #dropping = new Set<Promise<void>>();
  #liveWorkers = 1;
  #isLeaving = false;
  #renewedAt = performance.now();

  constructor(options: ServerFleetOptions) {
    this.#options = options;
  }

  /** How many workers were seen lately, including this one. */
  get liveWorkers(): number {
    return this.#liveWorkers;
  }

  /** How long ago this worker last reported that it is alive. */
  get renewedAgoMs(): number {
    return performance.now() - this.#renewedAt;
  }

  get owned(): OwnedServer[] {
    return [...this.#owned.values()];
  }

  find(serverId: string): OwnedServer | undefined {
    return this.#owned.get(serverId);
  }

  /** Renews the leases of the owned servers. A server whose lease was lost is dropped at once. */
  async renew(): Promise<void> {
    const { servers, workerId, leaseMs, guard, log } = this.#options;
    const named = (await this.#named()).map(({ id }) => id);
    const sentAt = performance.now();
    const statusUrl = this.#options.statusUrl();
    this.#liveWorkers = await guard.watch(servers.renewWorker(workerId, named, leaseMs, statusUrl));
    this.#renewedAt = sentAt;
    const leases = this.owned.map((server) => server.lease);
    if (leases.length === 0) return;
    const held = await guard.watch(servers.renewServers(workerId, leases, leaseMs));
    const stillOurs = new Set(held.map((lease) => lease.serverId));
    for (const lease of leases) {
      const server = this.#owned.get(lease.serverId);
      if (server === undefined || stillOurs.has(lease.serverId)) continue;
      log.warn({ server: server.url }, "another worker owns the server now");
      // Not awaited, so that the leases of all other jobs are renewed in time.
      const dropping = this.#dropQuietly(server).finally(() => this.#dropping.delete(dropping));
      this.#dropping.add(dropping);
    }
  }

  /** Takes free servers up to the fair share, and hands over a surplus. */
  async balance(): Promise<void> {
    const { servers, workerId, leaseMs, guard } = this.#options;
    const serverIds = (await this.#named()).map(({ id }) => id);
    const workers = await guard.watch(servers.listLiveWorkers(leaseMs));
    this.#warnOfSharedLoopback(workers);
    const ownedIds = this.#leastBusyFirst().map(({ id }) => id);
    const { handOver, take, takeMax } = planFleet({ workerId, serverIds, ownedIds }, workers);
    await this.#handOver(handOver.flatMap((id) => this.#owned.get(id) ?? []));
    if (take.length === 0 || !guard.mayTakeOver || this.#isLeaving) return;
    const taken = await guard.watch(servers.acquireServers(workerId, take, takeMax, leaseMs));
    for (const { server, serverId, leaseNumber } of taken) this.#take(server, { serverId, leaseNumber });
  }

  /** Gives the owned servers no new work, and takes no further ones; or ends that. */
  setLeaving(isLeaving: boolean): void {
    this.#isLeaving = isLeaving;
    for (const server of this.owned) server.hold("leaving", isLeaving ? leavingReason : null);
  }

  /** Reads which servers operators have drained or resumed, and which labels they have now. */
  async readRequests(): Promise<void> {
    if (this.#owned.size === 0) return;
    for (const record of await this.#options.guard.watch(this.#options.servers.listServers())) {
      const server = this.#owned.get(record.id);
      if (server === undefined) continue;
      server.setLabels(record.labels);
      if (server.isDrainedByOperator === record.draining) continue;
      server.setDraining(record.draining);
      const what = record.draining ? "server is draining: it takes nothing new" : "server is resumed";
      this.#options.log.info({ server: server.url }, what);
    }
  }

  /** Hands over all servers. */
  async close(): Promise<void> {
    await this.#handOver(this.owned);
    await Promise.all(this.#dropping);
  }

  /**
   * Warns of loopback addresses that two workers share. Every machine has a 127.0.0.1. If two workers on two machines
   * name it, they mean two servers but share one row and take turns owning it. Then one of the servers is always idle,
   * and jobs are lost each time the owner changes.
   */
  #warnOfSharedLoopback(workers: readonly WorkerRecord[]): void {
    const { workerId, log } = this.#options;
    for (const [serverId, { identity, url }] of this.#addresses) {
      if (identity !== url || !isLoopback(new URL(url).hostname)) continue;
      for (const { id, serverIds } of workers) {
        const isOfThisMachine = id === workerId || id.startsWith(`${hostname()}-`);
        if (isOfThisMachine || this.#warnedOf.has(id) || !serverIds.includes(serverId)) continue;
        this.#warnedOf.add(id);
        log.warn(
          { server: url, otherWorker: id },
          "another worker names the same loopback address: if it runs on another machine, set SERVER_NAME on each, or both " +
            "servers count as one",
        );
      }
    }
  }

  #take(record: ServerRecord, lease: ServerLease): void {
    const address = this.#addresses.get(record.id);
    if (address === undefined)
      throw new Error(`Server ${record.id} was taken but is not in this worker's configuration.`);
    const { servers, definitions, log, graceMs, stallMs } = this.#options;
    const { onReady, onDefinitionsRead, onQueueSeen } = this.#options;
    log.info({ server: record.url, leaseNumber: lease.leaseNumber }, "server taken");
    const server = new OwnedServer({
      ...{ record, address, lease, servers, definitions, log, graceMs, stallMs },
      ...{ onReady, onDefinitionsRead, onQueueSeen },
    });
    this.#owned.set(record.id, server);
    void server.tick().catch((error: unknown) => {
      log.warn({ err: error, server: record.url }, "the first check of a server failed");
    });
  }

  /** The rows of the servers in this worker's configuration. */
  async #named(): Promise<ServerRecord[]> {
    const { servers, addresses, slots, labels, guard, log } = this.#options;
    if (this.#configured !== null) return this.#configured;
    const cleaned = await guard.watch(servers.cleanServerUrls(identityOfUrl));
    if (cleaned > 0)
      log.warn({ servers: cleaned }, "the URLs of servers that an earlier version stored were rewritten");
    const asked = addresses.map(({ identity, url }) => ({
      url: identity,
      slots,
      labels: labels.get(url) ?? [],
    }));
    const registered = await guard.watch(servers.registerServers(asked));
    const byIdentity = new Map(addresses.map((address) => [address.identity, address]));
    for (const { id, url } of registered) {
      const address = byIdentity.get(url);
      if (address !== undefined) this.#addresses.set(id, address);
    }
    return (this.#configured = registered);
  }

  #leastBusyFirst(): OwnedServer[] {
    return this.owned.sort((one, other) => one.jobsHeld - other.jobsHeld);
  }

  async #handOver(servers: OwnedServer[]): Promise<void> {
    if (servers.length === 0) return;
    const leases = servers.map((server) => server.lease);
    const dropped = await Promise.allSettled(servers.map((server) => this.#drop(server, "hand-over")));
    await this.#options.servers.releaseServers(this.#options.workerId, leases);
    for (const result of dropped) if (result.status === "rejected") throw result.reason;
  }

  async #dropQuietly(server: OwnedServer): Promise<void> {
    try {
      await this.#drop(server, "lease-lost");
    } catch (error) {
      this.#options.log.warn(
        { err: error, server: server.url },
        "the runs on a lost server could not be ended properly",
      );
    }
  }

  async #drop(server: OwnedServer, why: "lease-lost" | "hand-over"): Promise<void> {
    this.#owned.delete(server.id);
    try {
      await this.#options.onGone(server, why);
    } finally {
      await server.close();
    }
  }
}
