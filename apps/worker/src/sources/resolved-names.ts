import { Resolver } from "node:dns/promises";
import { type Logger, type NamedServer, parseUrl, resolvedServer } from "@genga/runtime";
import { ResolvedName } from "./resolved-name.ts";
import { oneFamily, SystemLookups } from "./system-lookups.ts";

export interface ResolvedNamesOptions {
  /** How often each name is looked up: DNS does not tell of changes. */
  intervalMs: number;
  /** The DNS servers to ask; empty = as the system resolves names, by its hosts file and its search domains. */
  dnsServers: readonly string[];
  serverName: string | undefined;
  log: Logger;
}

/** A row of a server that a name was resolved to. */
interface RecalledServer {
  url: string;
  resolvedFrom: string | null;
  isRemoved: boolean;
}

/** The names that stand for several servers, as DNS resolves them now. */
export class ResolvedNames {
  readonly #options: ResolvedNamesOptions;
  readonly #resolver: Resolver | null;
  readonly #names = new Map<string, ResolvedName>();
  readonly #system = new SystemLookups({ timeoutMs: lookupTimeoutMs });
  #onChange: () => void = () => undefined;

  constructor(options: ResolvedNamesOptions) {
    this.#options = options;
    this.#resolver = options.dnsServers.length === 0 ? null : new Resolver({ timeout: 2_000, tries: 2 });
    this.#resolver?.setServers(options.dnsServers);
  }

  /** Why names cannot be resolved now; `null` = all are. */
  get problem(): string | null {
    const troubles = [...this.#names].flatMap(([host, { trouble }]) =>
      trouble === null ? [] : `${host} (${trouble})`,
    );
    if (troubles.length === 0) return null;
    return `Names of servers cannot be resolved, and their known addresses count: ${troubles.slice(0, 10).join(", ")}`;
  }

  get unresolved(): number {
    return [...this.#names.values()].filter(({ trouble }) => trouble !== null).length;
  }

  onChange(listener: () => void): void {
    this.#onChange = listener;
  }

  /** The servers, in place of each name those at its known addresses. Names that are new here are looked up at once. */
  expand(servers: readonly NamedServer[]): NamedServer[] {
    const hosts = new Set(servers.flatMap((server) => (server.address.resolves ? hostOf(server) : [])));
    for (const [host, name] of this.#names) {
      if (hosts.has(host)) continue;
      name.close();
      this.#names.delete(host);
    }
    for (const host of hosts) if (!this.#names.has(host)) this.#names.set(host, this.#open(host));
    return servers.flatMap((server) => {
      if (!server.address.resolves) return server;
      const resolvedFrom = hostOf(server);
      return (this.#names.get(resolvedFrom)?.addresses ?? []).map((ipAddress) => {
        const address = resolvedServer(server.address, ipAddress, this.#options.serverName);
        return { ...server, address, resolvedFrom };
      });
    });
  }

  /**
   * Waits until each name was looked up once. Names without an answer get the addresses that they had, by the rows of
   * servers, so that a worker which starts while DNS is away goes on with its servers.
   * @throws what `rows` throws
   */
  async firstLookups(rows: () => Promise<readonly RecalledServer[]>): Promise<void> {
    const lookups = [...this.#names.values()].map(({ firstLookup }) => firstLookup);
    await Promise.race([Promise.all(lookups), until(firstLookupsMs)]);
    const open = [...this.#names].filter(([, name]) => !name.wasAnswered);
    if (open.length === 0) return;
    const known = (await rows()).filter((row) => !row.isRemoved && this.#isReached(row));
    for (const [host, name] of open) {
      const ofName = known.filter(({ resolvedFrom }) => resolvedFrom === host);
      name.recall(ofName.map(({ url }) => new URL(url).hostname.replace(/^\[|\]$/g, "")));
    }
  }

  close(): void {
    for (const name of this.#names.values()) name.close();
    this.#names.clear();
    this.#resolver?.cancel();
  }

  /** A loopback address of another machine is none of this worker's. */
  #isReached({ url }: RecalledServer): boolean {
    const [, machine] = url.split("#", 2);
    return parseUrl(url) !== null && (machine === undefined || machine === this.#options.serverName);
  }

  #open(host: string): ResolvedName {
    const { intervalMs, log } = this.#options;
    return new ResolvedName({
      ...{ host, intervalMs, log, lookUp: (name) => this.#lookUp(name) },
      onChange: () => {
        this.#onChange();
      },
    });
  }

  async #lookUp(host: string): Promise<readonly string[]> {
    const resolver = this.#resolver;
    if (resolver === null) return await this.#system.addressesOf(host);
    return await oneFamily((family) => (family === 4 ? resolver.resolve4(host) : resolver.resolve6(host)));
  }
}

/** The C library asks each of the system's DNS servers for 5 s, as a rule. */
const lookupTimeoutMs = 10_000;
/** A worker does not wait longer than this for DNS before it takes its other servers. */
const firstLookupsMs = 5_000;

function until(durationMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, durationMs).unref();
  });
}

function hostOf({ address }: NamedServer): string {
  return new URL(address.url).hostname;
}
