import { hostname } from "node:os";
import { type ServerQueue } from "@genga/comfyui";
import {
  noServerId,
  type ServerSourcesStore,
  type ServerStore,
  type TakenServer,
  type WorkerRecord,
} from "@genga/jobs";
import { isLoopback, type Logger, type NamedServer } from "@genga/runtime";
import { type DefinitionsStore } from "@genga/workflows";
import { namedHereAlone, planFleet } from "./fleet-plan.ts";
import { type OutageGuard } from "../timing/outage-guard.ts";
import { type FleetSources, namedByRow, NamedServers } from "./named-servers.ts";
import { OwnedServer } from "./owned-server.ts";
import { ServerCredentials } from "./server-credentials.ts";
import { holdForStorage, type StorageProblem } from "./storage-hold.ts";

export interface ServerFleetOptions {
  workerId: string;
  servers: ServerStore;
  definitions: DefinitionsStore;
  serverSources: ServerSourcesStore;
  sources: FleetSources;
  serverName: string | undefined;
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
const retiringReason =
  "No source of its worker names it any more: what it has ends there, then it is let go.";

/**
 * Decides which servers this worker owns: its fair share of those that its sources name (`fleet-plan.ts`). So a new
 * worker gets a part of the load, and a dead worker's servers are taken over when their leases have expired.
 *
 * An owned server that no source names any more is retired: it gets nothing new, stays with this worker until the jobs on
 * it have ended, and is then let go. If a source names it again before that, it simply goes on. If this worker stops
 * first, another one takes the server and ends its retirement.
 */
export class ServerFleet {
  readonly #options: ServerFleetOptions;
  readonly #owned = new Map<string, OwnedServer>();
  readonly #named: NamedServers;
  /** Since when owned servers are being retired, by the monotonic clock. */
  readonly #retiringSince = new Map<string, number>();
  #toldProblem: string | null = null;
  readonly #warnedOf = new Set<string>();
  readonly #dropping = new Set<Promise<void>>();
  #liveWorkers = 1;
  #nextLookBehind = Number.NEGATIVE_INFINITY;
  #isLeaving = false;
  #storage: StorageProblem | null = null;
  #renewedAt = performance.now();
  /** The same by the wall clock, which goes on while the machine sleeps. */
  #renewedOn = Date.now();

  constructor(options: ServerFleetOptions) {
    this.#options = options;
    this.#named = new NamedServers(options);
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
    if (Date.now() - this.#renewedOn > leaseMs) this.#named.registerAgain();
    // Leases are renewed even while new servers cannot be registered; balancing registers those.
    const ids = this.#withRetiring(this.#named.knownIds ?? (await this.#named.ids()));
    const named = ids.length === 0 ? [noServerId] : ids;
    const sentAt = performance.now();
    const statusUrl = this.#options.statusUrl();
    this.#liveWorkers = await guard.watch(servers.renewWorker(workerId, named, leaseMs, statusUrl));
    this.#renewedAt = sentAt;
    this.#renewedOn = Date.now();
    await this.#tellProblem();
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

  /** Takes free servers up to the fair share, hands over a surplus, and retires servers that no source names. */
  async balance(): Promise<void> {
    const { servers, workerId, leaseMs, guard } = this.#options;
    this.applySources();
    await this.#handOver(this.owned.filter((server) => this.#isReachedElsewhere(server)));
    const hasChanged = this.#named.isBehind;
    const serverIds = await this.#namedIds();
    if (hasChanged) await this.renew();
    const workers = await guard.watch(servers.listLiveWorkers(leaseMs));
    this.#warnOfSharedLoopback(workers);
    const ownedIds = this.#leastBusyFirst().map(({ id }) => id);
    // Its hook may be about to restart it, which its next owner's jobs would not survive.
    const keptIds = new Set(this.owned.flatMap((server) => (server.holds.has("recycling") ? server.id : [])));
    const { handOver, take, takeMax } = planFleet({ workerId, serverIds, ownedIds, keptIds }, workers);
    await this.#handOver(handOver.flatMap((id) => this.#owned.get(id) ?? []));
    await this.#endRetirements(workers);
    await this.#takeLeftBehind();
    // A worker that is leaving takes only what its dead predecessor left on its servers, to let it end.
    const alone = this.#isLeaving ? namedHereAlone({ workerId, serverIds }, workers) : take;
    const wanted = take.filter((id) => alone.includes(id));
    if (wanted.length === 0) return;
    // After an outage, those with expired leases may only seem to be abandoned. Those that others have handed over are free.
    const taken = await guard.watch(
      servers.acquireServers(workerId, wanted, takeMax, leaseMs, { alsoExpired: guard.mayTakeOver }),
    );
    for (const lease of taken) {
      // The sources may have changed since. Then it is retired, with what may be on it.
      const named = this.#named.find(lease.serverId) ?? namedByRow(lease.server, this.#options.serverName);
      if (named !== undefined) this.#take(lease, named);
      else await guard.watch(servers.releaseServers(workerId, [lease]));
    }
  }

  /** The servers that this worker owns, and those that no other worker serves. */
  async idsInItsCare(): Promise<string[]> {
    const { servers, workerId, leaseMs, guard } = this.#options;
    const serverIds = await this.#namedIds();
    const workers = await guard.watch(servers.listLiveWorkers(leaseMs));
    return [...new Set([...this.#owned.keys(), ...namedHereAlone({ workerId, serverIds }, workers)])];
  }

  /** Gives the owned servers no new work, and takes no further ones that others could take; or ends that. */
  setLeaving(isLeaving: boolean): void {
    this.#isLeaving = isLeaving;
    for (const server of this.owned) server.hold("leaving", isLeaving ? leavingReason : null);
  }

  /** Gives the owned servers no new work while their outputs could not be stored; `null` ends that. */
  setStorage(problem: StorageProblem | null): void {
    this.#storage = problem;
    for (const server of this.owned) holdForStorage(server, problem);
  }

  /** Reads which servers operators have drained or resumed, and which labels they have now. */
  async readRequests(): Promise<void> {
    if (this.#owned.size === 0) return;
    for (const record of await this.#options.guard.watch(this.#options.servers.listServers())) {
      const server = this.#owned.get(record.id);
      if (server === undefined) continue;
      server.setLabelsAndSlots(record);
      if (!server.setDraining(record.draining)) continue;
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
    for (const serverId of this.#named.knownIds ?? []) {
      // One that SERVER_NAME tells apart has a name behind its address.
      const [url = "", machine] = (this.#named.find(serverId)?.address.identity ?? "").split("#", 2);
      if (url === "" || machine !== undefined || !isLoopback(new URL(url).hostname)) continue;
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

  /** Begins to retire the owned servers that no source names any more, and takes those back that one names again. */
  applySources(): void {
    for (const server of this.owned) {
      if (this.#named.withIdentity(server.url) === undefined) this.#retire(server);
      else if (this.#retiringSince.delete(server.id)) {
        this.#options.log.info({ server: server.url }, "a source names the server again");
        server.hold("retiring", null);
      }
    }
  }

  /**
   * The server has got another name, for which it may have another certificate. It is taken anew, with new connections.
   */
  #isReachedElsewhere({ url, address }: OwnedServer): boolean {
    const named = this.#named.withIdentity(url)?.address;
    return named !== undefined && (named.url !== address.url || named.ipAddress !== address.ipAddress);
  }

  #retire(server: OwnedServer): void {
    if (this.#retiringSince.has(server.id)) return;
    this.#retiringSince.set(server.id, performance.now());
    server.hold("retiring", retiringReason);
    this.#options.log.info({ server: server.url }, "server is being retired: no source names it any more");
  }

  /** Lets go of retiring servers on which nothing runs, and hands those over that another worker still names. */
  async #endRetirements(workers: readonly WorkerRecord[]): Promise<void> {
    const { serverSources, guard, log, workerId, leaseMs } = this.#options;
    const handOver: OwnedServer[] = [];
    for (const [serverId, since] of this.#retiringSince) {
      const server = this.#owned.get(serverId);
      if (server === undefined) {
        this.#retiringSince.delete(serverId);
        continue;
      }
      // Within a lease, another worker with the same sources has noticed the change as well.
      // Its hook may take it out of DNS, and put it back when it has restarted.
      if (server.holds.has("recycling")) continue;
      const isOthers = performance.now() - since > leaseMs && isNamedByOthers(serverId, workerId, workers);
      if (isOthers) handOver.push(server);
      else if (
        server.promptIds.size === 0 &&
        (await guard.watch(serverSources.letGoServer(workerId, server.lease, leaseMs)))
      ) {
        log.info({ server: server.url }, "server is retired");
        await this.#drop(server, "hand-over");
      }
    }
    await this.#handOver(handOver);
  }

  /** Takes servers that were being retired when their owner stopped, and so ends what runs on them. */
  async #takeLeftBehind(): Promise<void> {
    const { serverSources, servers, guard, workerId, leaseMs, serverName } = this.#options;
    const now = performance.now();
    if (!guard.mayTakeOver || this.#isLeaving || now < this.#nextLookBehind) return;
    // What runs there runs on meanwhile.
    this.#nextLookBehind = now + leaseMs / 3;
    for (const record of await guard.watch(serverSources.listLeftBehind(leaseMs))) {
      const named = namedByRow(record, serverName);
      if (named === undefined || this.#named.find(record.id) !== undefined) continue;
      if (!this.#knowsCredentialOf(named)) continue;
      const [taken] = await guard.watch(servers.acquireServers(workerId, [record.id], 1, leaseMs));
      if (taken !== undefined) this.#take(taken, named);
    }
  }

  /** Without its credentials a worker could only be refused by the server, and would give up what runs there. */
  #knowsCredentialOf(named: NamedServer): boolean {
    const { sources } = this.#options;
    if (named.source === "api" && !sources.takesServersOfApi) return false;
    try {
      sources.authorizationFor(named);
      return true;
    } catch {
      return false;
    }
  }

  #take({ server: record, serverId, leaseNumber, isBeingRecycled }: TakenServer, named: NamedServer): void {
    const { servers, definitions, log, graceMs, stallMs, sources, guard } = this.#options;
    const { onReady, onDefinitionsRead, onQueueSeen } = this.#options;
    log.info({ server: record.url, leaseNumber }, "server taken");
    const namedNow = (): NamedServer | undefined => this.#named.withIdentity(record.url);
    const credentials = new ServerCredentials({ sources, named, namedNow });
    const server = new OwnedServer({
      ...{ record, address: named.address, lease: { serverId, leaseNumber } },
      ...{ servers, definitions, log, graceMs, stallMs, onReady, onDefinitionsRead, onQueueSeen },
      silence: guard.silence,
      authorization: () => credentials.authorization(),
    });
    this.#owned.set(record.id, server);
    if (this.#isLeaving) server.hold("leaving", leavingReason);
    if (this.#storage !== null) holdForStorage(server, this.#storage);
    // The hook that its last owner began may still run.
    if (isBeingRecycled) server.hold("recycling", "Recycling: its last worker began it.");
    if (namedNow() === undefined) this.#retire(server);
    void server.tick().catch((error: unknown) => {
      log.warn({ err: error, server: record.url }, "the first check of a server failed");
    });
  }

  /** Those that the sources name, and those that are being retired. */
  async #namedIds(): Promise<string[]> {
    return this.#withRetiring(await this.#named.ids());
  }

  #withRetiring(ids: readonly string[]): string[] {
    return [...new Set([...ids, ...[...this.#retiringSince.keys()].filter((id) => this.#owned.has(id))])];
  }

  /** The row exists by now. */
  async #tellProblem(): Promise<void> {
    const { serverSources, sources, guard, workerId } = this.#options;
    const { problem } = sources;
    if (problem === this.#toldProblem) return;
    await guard.watch(serverSources.setServersProblem(workerId, problem));
    this.#toldProblem = problem;
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
    this.#retiringSince.delete(server.id);
    try {
      await this.#options.onGone(server, why);
    } finally {
      await server.close();
    }
  }
}

function isNamedByOthers(serverId: string, workerId: string, workers: readonly WorkerRecord[]): boolean {
  return workers.some(({ id, serverIds }) => id !== workerId && serverIds.includes(serverId));
}
