import { randomUUID } from "node:crypto";
import { type Place, type PlaceKind } from "@genga/jobs";
import { type Redis, type Result } from "ioredis";
import { type RedisLink } from "../redis/redis-link.ts";
import { withinTime } from "../redis/within-time.ts";

export interface SharedPlacesOptions {
  link: RedisLink;
  prefix: string;
  /** A place is free again when its process has not renewed it for this long; it is renewed three times as often. */
  leaseMs: number;
}

/**
 * Removes the members whose lease has ended, and then takes a place if there is room. Only the clock of Redis counts.
 */
const takeScript = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local used = redis.call('ZCARD', KEYS[1])
if used >= tonumber(ARGV[1]) then return {0, used} end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {1, used + 1}`;

const renewScript = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for index = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[index]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return #ARGV - 1`;

declare module "ioredis" {
  interface RedisCommander<Context> {
    /** `takeScript`, sent by its hash. */
    takePlace(key: string, max: number, leaseMs: number, member: string): Result<unknown, Context>;
  }
}

/** One renewal names at most this many members. */
const renewedAtOnce = 1_000;

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
  readonly #renewal: NodeJS.Timeout;
  #serial = 0;

  constructor(options: SharedPlacesOptions) {
    this.#options = options;
    options.link.redis.defineCommand("takePlace", { numberOfKeys: 1, lua: takeScript });
    this.#renewal = setInterval(() => void this.#renew(), options.leaseMs / 3);
    this.#renewal.unref();
  }

  async take(kind: PlaceKind, tenantId: string, max: number): Promise<Place | { used: number }> {
    const { link, prefix, leaseMs } = this.#options;
    const key = `${prefix}:places:${kind}:${tenantId}`;
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
    const answer = await withinTime(link, (redis) => redis.takePlace(key, max, leaseMs, member));
    if (!Array.isArray(answer) || answer[0] !== 0) return place;
    this.#forget(key, member);
    return { used: Number(answer[1]) };
  }

  close(): void {
    clearInterval(this.#renewal);
    for (const [key, members] of this.#own) for (const member of [...members]) this.#release(key, member);
  }

  #release(key: string, member: string): void {
    if (!this.#forget(key, member)) return;
    // If this message does not reach Redis, the place becomes free when its lease ends.
    void withinTime(this.#options.link, (redis) => redis.zrem(key, member));
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
      const all = [...members];
      for (let start = 0; start < all.length; start += renewedAtOnce) {
        const part = all.slice(start, start + renewedAtOnce);
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
