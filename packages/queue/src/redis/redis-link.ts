import { Redis } from "ioredis";
import { TicketsUnavailableError } from "@genga/jobs";
import { mapRedisError } from "./redis-errors.ts";

/** What the queue needs of a logger; pino's fits. */
export interface QueueLogger {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

export interface RedisLinkOptions {
  redisUrl: string;
  /** Shown in log lines: what the connection is for. */
  purpose: string;
  logger: QueueLogger;
}

const heartbeatMs = 500;
/** Heartbeats without an answer after which a connection counts as dead (half-open, frozen). */
const silentHeartbeatsMax = 4;
const reconnectDelayMaxMs = 1000;
const connectTimeoutMs = 3000;
/** How long the very first call may wait for the very first connection. */
const firstConnectionMs = 2000;
const quitTimeoutMs = 1000;

/**
 * One supervised connection to Redis: fails fast while Redis is away, comes back by itself within about a second, and
 * proves with a ping every half second that it is not half-open. Nothing here ever crashes the process.
 *
 * `maxRetriesPerRequest` is 0, not `null`: we never block on Redis, and with `null` a command that was under way as the
 * connection broke is sent again much later, when its caller has long given up (a `take` would take tickets for nobody).
 */
export class RedisLink {
  readonly redis: Redis;
  readonly #options: RedisLinkOptions;
  readonly #readyListeners = new Set<() => void>();
  readonly #heartbeat: NodeJS.Timeout;
  readonly #firstConnection: Promise<void>;
  #silentHeartbeats = 0;
  #isDown = false;
  #isClosed = false;

  constructor(options: RedisLinkOptions) {
    this.#options = options;
    this.redis = new Redis(options.redisUrl, {
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResubscribe: false,
      autoResendUnfulfilledCommands: false,
      connectTimeout: connectTimeoutMs,
      disconnectTimeout: 200,
      retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt - 1, 10), reconnectDelayMaxMs),
      reconnectOnError: (error) => error.message.startsWith("READONLY"),
    });
    this.redis.on("error", (error: Error) => {
      this.#noteOutage(error);
    });
    this.redis.on("close", () => {
      this.#noteOutage(new Error("The connection was closed."));
    });
    this.redis.on("ready", () => {
      this.#noteReady();
    });
    this.#firstConnection = new Promise((resolve) => {
      this.redis.once("ready", resolve);
      this.redis.once("end", resolve);
      setTimeout(resolve, firstConnectionMs).unref();
    });
    this.#heartbeat = setInterval(() => {
      this.#beat();
    }, heartbeatMs);
    this.#heartbeat.unref();
  }

  isReady(): boolean {
    return this.redis.status === "ready" && !this.#isClosed;
  }

  /**
   * Runs commands, or fails at once while Redis is away.
   * @throws TicketsUnavailableError
   */
  async run<Result>(operation: (redis: Redis) => Promise<Result>): Promise<Result> {
    if (!this.isReady()) await this.#firstConnection;
    if (!this.isReady()) throw new TicketsUnavailableError(new Error("There is no connection to Redis."));
    try {
      return await operation(this.redis);
    } catch (error) {
      throw mapRedisError(error);
    }
  }

  /** Called after every connect, the first one too. The returned function ends it. */
  onReady(listener: () => void): () => void {
    this.#readyListeners.add(listener);
    return () => this.#readyListeners.delete(listener);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    const wasReady = this.isReady();
    this.#isClosed = true;
    clearInterval(this.#heartbeat);
    this.#readyListeners.clear();
    // QUIT lets what was sent before (a last signal) arrive; it must not wait on a dead connection.
    if (wasReady) await settledWithin(this.redis.quit(), quitTimeoutMs);
    this.redis.disconnect();
  }

  #beat(): void {
    const { status } = this.redis;
    if (status !== "ready" && status !== "connect") {
      this.#silentHeartbeats = 0;
      return;
    }
    // Counted in beats rather than by the clock, so that a busy process does not blame its own delay on Redis.
    if (this.#silentHeartbeats >= silentHeartbeatsMax) {
      this.#silentHeartbeats = 0;
      this.#noteOutage(new Error("Redis did not answer a ping."));
      this.redis.disconnect(true);
      return;
    }
    this.#silentHeartbeats += 1;
    if (status !== "ready") return;
    this.redis.ping().then(
      () => {
        this.#silentHeartbeats = 0;
      },
      (error: unknown) => {
        this.#noteOutage(error);
      },
    );
  }

  #noteReady(): void {
    this.#silentHeartbeats = 0;
    if (this.#isDown) {
      this.#options.logger.info({ purpose: this.#options.purpose }, "Redis is back.");
    }
    this.#isDown = false;
    for (const listener of this.#readyListeners) listener();
  }

  /** One line for each outage, however many errors it brings. */
  #noteOutage(error: unknown): void {
    if (this.#isDown || this.#isClosed) return;
    this.#isDown = true;
    this.#options.logger.warn(
      { purpose: this.#options.purpose, err: error },
      "Redis is not reachable; trying again until it is.",
    );
  }
}

async function settledWithin(promise: Promise<unknown>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([promise.catch(() => undefined), timeout]);
  clearTimeout(timer);
}
