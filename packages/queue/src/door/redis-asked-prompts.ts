import { RedisLink } from "../redis/redis-link.ts";
import { RedisScript } from "../redis/run-script.ts";
import { withinTime } from "../redis/within-time.ts";
import { type DoorMessagesOptions } from "./redis-door-messages.ts";

/** The prompts that one key of a tenant has sent. */
interface PromptQueue {
  tenantId: string;
  keyName: string;
}

/** Of one queue the newest ones are kept. */
const promptsMax = 1_000;

// Times are those of Redis, so that the clocks of processes do not matter.
const now = "local time = redis.call('TIME') local now = time[1] * 1000 + math.floor(time[2] / 1000)";

const noteScript = new RedisScript(`${now}
  redis.call('ZADD', KEYS[1], now, ARGV[1])
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - ARGV[3])
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 1`);
const listScript = new RedisScript(`${now}
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[1])
  return redis.call('ZRANGE', KEYS[1], 0, -1)`);

/**
 * Prompts of which clients were just told by some process that they have not ended. While Redis is away, nothing is noted and nothing is
 * known.
 */
export class RedisAskedPrompts {
  readonly #options: Required<DoorMessagesOptions> & { keptMs: number };
  #link: RedisLink | undefined;

  /** @param options.keptMs how long a note counts */
  constructor({ redisUrl, prefix = "genga", logger, keptMs }: DoorMessagesOptions & { keptMs: number }) {
    this.#options = { redisUrl, prefix, logger, keptMs };
  }

  /** Connects in the background; without it, the first request does. */
  connect(): void {
    this.#connected();
  }

  /** @returns whether it is noted; if Redis is late, it may be noted all the same */
  async note(queue: PromptQueue, promptId: string): Promise<boolean> {
    const { keptMs } = this.#options;
    const noted = await withinTime(this.#connected(), (redis) =>
      noteScript.run(redis, [this.#keyOf(queue)], [promptId, keptMs, promptsMax]),
    );
    return noted !== null;
  }

  async forget(queue: PromptQueue, promptId: string): Promise<void> {
    await withinTime(this.#connected(), (redis) => redis.zrem(this.#keyOf(queue), promptId));
  }

  /** `null` = Redis is away. */
  async list(queue: PromptQueue): Promise<string[] | null> {
    const { keptMs } = this.#options;
    const listed = await withinTime(this.#connected(), (redis) =>
      listScript.run(redis, [this.#keyOf(queue)], [keptMs]),
    );
    return Array.isArray(listed) ? listed.map(String) : null;
  }

  async close(): Promise<void> {
    await this.#link?.close();
  }

  #connected(): RedisLink {
    const { redisUrl, logger } = this.#options;
    const purpose = "what clients of ComfyUI's protocol were told";
    return (this.#link ??= new RedisLink({ redisUrl, purpose, logger }));
  }

  #keyOf({ tenantId, keyName }: PromptQueue): string {
    return `${this.#options.prefix}:door-asked:${tenantId}:${keyName}`;
  }
}
