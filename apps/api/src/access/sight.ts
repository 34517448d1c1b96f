import { publicNameOf, StoreUnavailableError, type Json, type Principal } from "@genga/jobs";
import { parseUrl } from "@genga/runtime";
import { LRUCache } from "lru-cache";

type Pattern = readonly [pattern: RegExp, name: string];

/** The part of a server's row that shows where the server is. */
interface NamedServer {
  id: string;
  url: string;
  /** The host name that stands for it and for others. */
  resolvedFrom?: string | null;
}

/**
 * What a principal may see of the servers: operators see everything, tenants see no server's address and no worker's
 * name.
 */
export class Sight {
  readonly operates: boolean;
  readonly #servers: ReadonlyMap<string, NamedServer>;
  readonly #addresses: readonly Pattern[];

  constructor({ role }: Pick<Principal, "role">, servers: readonly NamedServer[]) {
    this.operates = role === "operate";
    this.#servers = new Map(servers.map((server) => [server.id, server]));
    this.#addresses = this.operates ? [] : patternsOf(servers);
  }

  /** How answers name a server to this principal. */
  server(id: string): { id: string; name: string; url?: string } {
    const url = this.#servers.get(id)?.url;
    return { id, name: publicNameOf({ id }), ...(this.operates && url !== undefined ? { url } : {}) };
  }

  /** Replaces addresses of servers in a text by their public names, and removes other addresses. */
  text(text: string): string {
    if (this.operates) return text;
    let shown = text;
    for (const [pattern, name] of this.#addresses) shown = shown.replace(pattern, name);
    for (const [pattern, instead] of anyAddress) shown = shown.replace(pattern, instead);
    return shown;
  }

  /** Does the same in the data of an event. */
  data(data: Record<string, Json>): Record<string, Json> {
    if (this.operates) return data;
    const entries = Object.entries(data).filter(([name]) => name !== "workerId");
    return Object.fromEntries(entries.map(([name, value]) => [name, this.#json(value)]));
  }

  #json(value: Json): Json {
    if (typeof value === "string") return this.text(value);
    if (Array.isArray(value)) return value.map((item) => this.#json(item));
    return typeof value === "object" && value !== null ? this.data(value) : value;
  }
}

/**
 * Patterns of addresses that belong to no known server: an address that a name resolved to, or that of a removed
 * server.
 */
const anyAddress: readonly Pattern[] = [
  // Node: "connect ECONNREFUSED 10.0.0.7:8188", "getaddrinfo ENOTFOUND gpu-7", "read ECONNRESET"
  [/\b(connect|getaddrinfo|bind) (E[A-Z_]+) [^\s),;]+/g, "$1 $2"],
  [
    /\b(?:https?|wss?):\/\/(?:[^\s/"'@]*@)?(?:[\w-]+|\[[^\]\s]*\]|[\w.-]+:\d+|[\d.]+)(?![\w.-])(?::\d+)?/gi,
    addressLeftOut(),
  ],
  [/\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b/g, addressLeftOut()],
];

function addressLeftOut(): string {
  return "(address)";
}

/** By the list: each reading of the servers serves many requests. */
const patternsOfLists = new WeakMap<readonly NamedServer[], readonly Pattern[]>();
/** By server or name: most of them are the same in the next reading. */
const compiled = new LRUCache<string, readonly Pattern[]>({ max: 5_000 });

function patternsOf(servers: readonly NamedServer[]): readonly Pattern[] {
  const known = patternsOfLists.get(servers);
  if (known !== undefined) return known;
  const names = new Set(servers.flatMap(({ resolvedFrom }) => resolvedFrom ?? []));
  const patterns = [
    ...servers.flatMap((server) => once(`whole ${server.id} ${server.url}`, () => wholeAddressOf(server))),
    ...servers.flatMap((server) => once(`parts ${server.id} ${server.url}`, () => addressesOf(server))),
    ...[...names].flatMap((name) => once(`name ${name}`, () => nameOfMany(name))),
  ];
  patternsOfLists.set(servers, patterns);
  return patterns;
}

function once(key: string, compile: () => readonly Pattern[]): readonly Pattern[] {
  const known = compiled.get(key) ?? compile();
  compiled.set(key, known);
  return known;
}

/**
 * For a server that SERVER_NAME tells apart from others with the same address: that name is the name of its machine.
 */
function wholeAddressOf(server: NamedServer): Pattern[] {
  if (!server.url.includes("#")) return [];
  return [[new RegExp(String.raw`${escaped(server.url)}(?![\w-])`, "gi"), publicNameOf(server)]];
}

/** The ways in which a server's address is written in messages, the longest first. */
function addressesOf(server: NamedServer): Pattern[] {
  const url = parseUrl(server.url);
  if (url === null) return [];
  const { host, hostname } = url;
  const name = publicNameOf(server);
  const end = String.raw`(?![\w-])`;
  const patterns: Pattern[] = [
    [new RegExp(String.raw`\b(?:https?|wss?)://(?:[^\s/"'@]*@)?${escaped(host)}${end}`, "gi"), name],
    [new RegExp(String.raw`(?<![\w.-])${escaped(host)}${end}`, "gi"), name],
  ];
  if (hostname !== host)
    patterns.push([new RegExp(String.raw`(?<![\w.-])${escaped(hostname)}(?![\w.-]*\w)`, "gi"), name]);
  return patterns;
}

/** A name that stands for several servers, such as in an error of a certificate. */
function nameOfMany(name: string): Pattern[] {
  return [
    [new RegExp(String.raw`(?<![\w.-])${escaped(name)}(?::\d+)?(?![\w.-]*\w)`, "gi"), addressLeftOut()],
  ];
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`);
}

/** While the database is away, servers are named as they were known before. */
export function latestSight(look: () => Promise<Sight>): () => Promise<Sight> {
  let latest: Sight | undefined;
  return async () => {
    try {
      latest = await look();
    } catch (error) {
      if (latest === undefined || !(error instanceof StoreUnavailableError)) throw error;
    }
    return latest;
  };
}
