import { randomUUID } from "node:crypto";
import { type Place, type PlaceKind } from "@genga/jobs";
import { type Redis, type Result } from "ioredis";
import { type RedisLink } from "../redis/redis-link.ts";
import { TurnGatherer } from "../redis/turn-gatherer.ts";
import { withinTime } from "../redis/within-time.ts";

export interface SharedPlacesOptions {
  link: RedisLink;
  prefix: string;
  /** A place is free again when its process has not renewed it for this long; it is renewed three times as often. */
  leaseMs: number;
}

/**
 * Removes the members whose lease has ended, and then gives places to the first members, as far as there is room. Only the
 * clock of Redis counts.
 */
const takeScript = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local used = redis.call('ZCARD', KEYS[1])
local room = math.min(tonumber(ARGV[1]) - used, #ARGV - 2)
if room <= 0 then return {0, used} end
for index = 3, 2 + room do redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[index]) end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {room, used + room}`;

const renewScript = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for index = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[index]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return #ARGV - 1`;

declare module "ioredis" {
  interface RedisCommander<Context> {
    /** `takeScript`, sent by its hash. */
    takePlaces(key: string, max: number, leaseMs: number, ...members: string[]): Result<unknown, Context>;
  }
}

/** One command names at most this many members. */
const namedAtOnce = 1_000;

/** What happens to a member of a set in Redis. `max`: the places that its tenant has. */
type Change = { member: string } & ({ kind: "take"; max: number } | { kind: "release" });

/**
 * Places that tenants have at once, counted over all processes: members of a sorted set, each with the end of its
 * lease. The process knows its own places without Redis. While Redis is away only those count; when Redis is back, the
 * next renewal adds them there.
 */
export class SharedPlaces {
  readonly #options: SharedPlacesOptions;
  readonly #process = randomUUID().slice(0, 8);
  /** Members that this process has, by key. */
  readonly #own = new Map<string, Set<string>>();
  /** What is to be told Redis of a key; a place that could not be had gives the number of those in use. */
  readonly #changes = new TurnGatherer((key, changes: Change[]) => this.#apply(key, changes));
  readonly #renewal: NodeJS.Timeout;
  #serial = 0;

  constructor(options: SharedPlacesOptions) {
    this.#options = options;
    options.link.redis.defineCommand("takePlaces", { numberOfKeys: 1, lua: takeScript });
    this.#renewal = setInterval(() => void this.#renew(), options.leaseMs / 3);
    this.#renewal.unref();
  }

  async take(kind: PlaceKind, tenantId: string, max: number): Promise<Place | { used: number }> {
    const key = `${this.#options.prefix}:places:${kind}:${tenantId}`;
    const own = this.#own.get(key) ?? new Set();
    if (own.size >= max) return { used: own.size };
    this.#serial += 1;
    const member = `${this.#process}-${this.#serial}`;
    // The place counts as taken before Redis answers, so that requests that arrive meanwhile count it.
    own.add(member);
    this.#own.set(key, own);
    const place = {
      release: () => {
        this.#release(key, member);
      },
    };
    const used = await this.#changes.add(key, { kind: "take", member, max });
    if (used === null) return place;
    this.#forget(key, member);
    return { used };
  }

  close(): void {
    clearInterval(this.#renewal);
    for (const [key, members] of [...this.#own]) {
      for (const member of [...members]) this.#release(key, member);
      void this.#changes.runNow(key);
    }
  }

  #release(key: string, member: string): void {
    if (!this.#forget(key, member)) return;
    // If this message does not reach Redis, the place becomes free when its lease ends.
    this.#changes.add(key, { kind: "release", member }).catch(() => undefined);
  }

  /** Releases come first, so that a request that waits gets a place released in the same turn. */
  async #apply(key: string, changes: readonly Change[]): Promise<(number | null)[]> {
    const { link, leaseMs } = this.#options;
    const released = changes.filter(({ kind }) => kind === "release").map(({ member }) => member);
    // At the end of the process, places are released that were not taken yet.
    const gone = new Set(released);
    const takes = changes.filter((change) => change.kind === "take" && !gone.has(change.member));
    const taking = takes.map(({ member }) => member);
    const max = takes.reduce((last, change) => (change.kind === "take" ? change.max : last), 0);
    const [, answer] = await Promise.all([
      released.length === 0 ? null : withinTime(link, (redis) => redis.zrem(key, ...released)),
      taking.length === 0
        ? null
        : withinTime(link, (redis) => redis.takePlaces(key, max, leaseMs, ...taking)),
    ]);
    const [taken, used] = Array.isArray(answer) ? answer.map(Number) : [taking.length, 0];
    const without = new Set(taking.slice(taken));
    return changes.map(({ kind, member }) => (kind === "take" && without.has(member) ? (used ?? 0) : null));
  }

  #forget(key: string, member: string): boolean {
    const own = this.#own.get(key);
    const wasOwn = own?.delete(member) ?? false;
    if (own?.size === 0) this.#own.delete(key);
    return wasOwn;
  }

  async #renew(): Promise<void> {
    const { link, leaseMs } = this.#options;
    for (const [key, members] of [...this.#own]) {
      // A place that was just taken reaches Redis by its own command first, which looks whether there is room.
      void this.#changes.runNow(key);
      const all = [...members];
      for (let start = 0; start < all.length; start += namedAtOnce) {
        const part = all.slice(start, start + namedAtOnce);
        const isDone = await withinTime(link, (redis: Redis) =>
          redis.eval(renewScript, 1, key, leaseMs, ...part),
        );
        if (isDone === null) return;
        // These places were released while the renewal that names them was under way.
        const gone = part.filter((member) => !members.has(member));
        if (gone.length > 0) await withinTime(link, (redis) => redis.zrem(key, ...gone));
      }
    }
  }
}
