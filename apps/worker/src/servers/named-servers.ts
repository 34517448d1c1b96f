import { type NewServer, type ServerRecord, type ServerStore } from "@genga/jobs";
import { identityOfUrl, isLoopback, type Logger, type NamedServer } from "@genga/runtime";
import { type OutageGuard } from "../timing/outage-guard.ts";

/** Which servers the sources of this worker name, and how requests to them are let in. */
export interface FleetSources {
  /** A new list whenever it has changed. */
  readonly servers: readonly NamedServer[];
  /** Why the sources as they are now are not used; `null` = they are. */
  readonly problem: string | null;
  /** Else this worker can neither name servers of the API nor read their credentials. */
  readonly takesServersOfApi: boolean;
  authorizationFor(server: NamedServer): string | undefined;
}

export interface NamedServersOptions {
  sources: Pick<FleetSources, "servers">;
  servers: Pick<ServerStore, "cleanServerUrls" | "registerServers">;
  guard: OutageGuard;
  log: Logger;
}

/** The rows of the servers that the sources name. They are written whenever the sources have changed. */
export class NamedServers {
  readonly #options: NamedServersOptions;
  #isCleaned = false;
  #registered: { of: readonly NamedServer[]; byId: ReadonlyMap<string, NamedServer> } | null = null;
  #registering: Promise<void> | null = null;
  #isStale = false;

  constructor(options: NamedServersOptions) {
    this.#options = options;
  }

  /** The sources have changed since the last registration, or it is to be repeated, or there was none yet. */
  get isBehind(): boolean {
    return this.#isStale || this.#registered?.of !== this.#options.sources.servers;
  }

  /** The ids of the servers that the sources name now. */
  async ids(): Promise<string[]> {
    while (this.#registered === null || this.isBehind) {
      // One at a time, so that an older list is never written after a newer one.
      this.#registering ??= this.#register().finally(() => {
        this.#registering = null;
      });
      await this.#registering;
    }
    return [...this.#registered.byId.keys()];
  }

  /** Has the rows written again: those of servers that nobody named for long may have been removed. */
  registerAgain(): void {
    this.#isStale = true;
  }

  /** As of the last registration; `null` = there was none yet. */
  get knownIds(): string[] | null {
    return this.#registered === null ? null : [...this.#registered.byId.keys()];
  }

  /** The server with this row, as the sources name it. */
  find(serverId: string): NamedServer | undefined {
    return this.#registered?.byId.get(serverId);
  }

  /** The server of this identity, as the sources name it now, registered or not. */
  withIdentity(identity: string): NamedServer | undefined {
    return this.#options.sources.servers.find(({ address }) => address.identity === identity);
  }

  async #register(): Promise<void> {
    const { servers, guard, log } = this.#options;
    if (!this.#isCleaned) {
      const cleaned = await guard.watch(servers.cleanServerUrls(identityOfUrl));
      this.#isCleaned = true;
      if (cleaned > 0)
        log.warn({ servers: cleaned }, "the URLs of servers that an earlier version stored were rewritten");
    }
    const of = this.#options.sources.servers;
    this.#isStale = false;
    const records = await guard.watch(servers.registerServers(of.map(rowOf))).catch((error: unknown) => {
      this.#isStale = true;
      throw error;
    });
    const byIdentity = new Map(of.map((server) => [server.address.identity, server]));
    const byId = new Map<string, NamedServer>();
    for (const { id, url } of records) {
      const server = byIdentity.get(url);
      if (server !== undefined) byId.set(id, server);
    }
    this.#registered = { of, byId };
  }
}

function rowOf({ address, slots, labels, source, resolvedFrom, credential }: NamedServer): NewServer {
  return { url: address.identity, slots, labels, source, resolvedFrom, credential };
}

/**
 * How a server is reached that no source names any more, by its row. `undefined` = only its last owner could reach it: it
 * has a loopback address of another machine, or one that was added by the API, which does not say of which machine.
 */
export function namedByRow(record: ServerRecord, serverName: string | undefined): NamedServer | undefined {
  const [url = "", name] = record.url.split("#", 2);
  if (name !== undefined && name !== serverName) return undefined;
  const { slots, labels, source, resolvedFrom, credential } = record;
  if (source === "api" && serverName !== undefined && isLoopback(new URL(url).hostname)) return undefined;
  const address = { identity: record.url, url, credentials: undefined };
  const named = { slots, labels, source, credential, resolvedFrom };
  if (resolvedFrom === null) return { ...named, address };
  return { ...named, address: resolvedAddress(record.url, url, resolvedFrom) };
}

function resolvedAddress(identity: string, url: string, host: string): NamedServer["address"] {
  const named = new URL(url);
  const ipAddress = named.hostname.replace(/^\[|\]$/g, "");
  named.hostname = host;
  return { identity, url: identityOfUrl(named.href), credentials: undefined, ipAddress };
}
