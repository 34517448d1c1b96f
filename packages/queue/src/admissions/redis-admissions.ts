import { type Place, type PlaceKind, type TenantAdmissions } from "@genga/jobs";
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from "rate-limiter-flexible";
import { RedisLink, type QueueLogger } from "../redis/redis-link.ts";
import { TurnGatherer } from "../redis/turn-gatherer.ts";
import { SharedPlaces } from "./shared-places.ts";
import { withinTime } from "../redis/within-time.ts";

export interface AdmissionsOptions {
  redisUrl: string;
  /** The prefix of every key; default: `genga`. */
  prefix?: string;
  /** How long the places of a process that died stay taken; default: 30 s. */
  placeLeaseMs?: number;
  logger: QueueLogger;
}

/** Connects in the background. Until it is connected, this process counts only its own requests. */
export function createAdmissions(options: AdmissionsOptions): TenantAdmissions {
  return new RedisAdmissions(options);
}

const minuteSeconds = 60;
/** Counters are kept for at most this many different limits. */
const countersMax = 1_000;

/** The limit is reached: the requests of this minute, and the time until the next one. */
interface Full {
  used: number;
  retryAfterMs: number;
}

interface Counters {
  shared: RateLimiterRedis;
  /** The counter of this process alone, used while Redis is away. */
  own: RateLimiterMemory;
}

/** `TenantAdmissions` on Redis, over a connection of its own, so that requests do not wait behind tickets. */
class RedisAdmissions implements TenantAdmissions {
  readonly #link: RedisLink;
  readonly #places: SharedPlaces;
  readonly #prefix: string;
  /** The counters by limit: one counter serves one limit, and keeps its counts by tenant in Redis. */
  readonly #counters = new Map<number, Counters>();
  /** Requests that come together, by limit and tenant. */
  readonly #requests = new TurnGatherer((_key, requests: { tenantId: string; max: number }[]) =>
    this.#count(requests),
  );

  constructor({ redisUrl, prefix = "genga", placeLeaseMs = 30_000, logger }: AdmissionsOptions) {
    this.#prefix = prefix;
    this.#link = new RedisLink({ redisUrl, purpose: "limits", logger });
    this.#places = new SharedPlaces({ link: this.#link, prefix, leaseMs: placeLeaseMs });
  }

  countRequest(tenantId: string, max: number): Promise<Full | null> {
    return this.#requests.add(`${max} ${tenantId}`, { tenantId, max });
  }

  takePlace(kind: PlaceKind, tenantId: string, max: number): Promise<Place | { used: number }> {
    return this.#places.take(kind, tenantId, max);
  }

  async close(): Promise<void> {
    this.#places.close();
    await this.#link.close();
  }

  /** Requests of one tenant, with one limit. */
  async #count(requests: readonly { tenantId: string; max: number }[]): Promise<(Full | null)[]> {
    const [first] = requests;
    if (first === undefined) return [];
    const { tenantId, max } = first;
    const { shared, own } = this.#countersOf(max);
    try {
      const answer = await withinTime(this.#link, () => shared.consume(tenantId, requests.length));
      if (answer === null) await own.consume(tenantId, requests.length);
      return requests.map(() => null);
    } catch (error) {
      if (!(error instanceof RateLimiterRes)) throw error;
      const { consumedPoints, msBeforeNext: retryAfterMs } = error;
      // A tenant that this process knows to be over its limit is refused without a count.
      const room = consumedPoints === 0 ? 0 : Math.max(0, max - (consumedPoints - requests.length));
      const full = { used: Math.max(consumedPoints, max), retryAfterMs };
      return requests.map((_request, index) => (index < room ? null : full));
    }
  }

  #countersOf(max: number): Counters {
    const known = this.#counters.get(max);
    if (known !== undefined) return known;
    const limit = { points: max, duration: minuteSeconds, keyPrefix: `${this.#prefix}:requests` };
    const counters = {
      shared: new RateLimiterRedis({
        ...limit,
        storeClient: this.#link.redis,
        rejectIfRedisNotReady: true,
        // A tenant that is over its limit is refused without asking Redis again.
        inMemoryBlockOnConsumed: max,
      }),
      own: new RateLimiterMemory(limit),
    };
    if (this.#counters.size >= countersMax) this.#counters.clear();
    this.#counters.set(max, counters);
    return counters;
  }
}
