import { Redis } from "ioredis";
import pTimeout from "p-timeout";
import { TicketsUnavailableError } from "@genga/jobs";
import { mapRedisError } from "./redis-errors.ts";
import { toldOutagesOf, type ToldOutages } from "./told-outages.ts";

/** The logger's methods that the queue uses; a pino logger fits. */
export interface QueueLogger {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

export interface RedisLinkOptions {
  redisUrl: string;
  /** The purpose of the connection, shown in log lines. */
  purpose: string;
  logger: QueueLogger;
}

const heartbeatMs = 500;
/** Heartbeats without an answer after which a connection counts as dead (half-open, frozen). */
const silentHeartbeatsMax = 4;
const reconnectDelayMaxMs = 1000;
const connectTimeoutMs = 3000;
/** The first call waits at most this long for the first connection. */
const firstConnectionMs = 2000;
const quitTimeoutMs = 1000;

/**
 * One supervised connection to Redis: fails fast while Redis is away, comes back by itself within about a second, and
 * proves with a ping every half second that it is not half-open. Its errors never crash the process.
 *
 * `maxRetriesPerRequest` is 0, not `null`: no command blocks on Redis, and with `null` a command that was under way
 * when the connection broke would be sent again much later, when its caller no longer waits (a `take` would then lock
 * tickets that no caller receives).
 */
export class RedisLink {
  readonly redis: Redis;
  readonly #options: RedisLinkOptions;
  readonly #readyListeners = new Set<() => void>();
  readonly #heartbeat: NodeJS.Timeout;
  readonly #firstConnection: Promise<void>;
  #silentHeartbeats = 0;
  readonly #outages: ToldOutages;
  #isClosed = false;

  constructor(options: RedisLinkOptions) {
    this.#options = options;
    this.#outages = toldOutagesOf(options.logger);
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
    this.#outages.forget(this);
    clearInterval(this.#heartbeat);
    this.#readyListeners.clear();
    // QUIT lets commands that were sent before (a last signal) arrive. It must not wait on a dead connection.
    if (wasReady) {
      const quitting = this.redis.quit().catch(() => undefined);
      await pTimeout(quitting, { milliseconds: quitTimeoutMs, message: false });
    }
    this.redis.disconnect();
  }

  #beat(): void {
    const { status } = this.redis;
    if (status !== "ready" && status !== "connect") {
      this.#silentHeartbeats = 0;
      return;
    }
    // Silence is counted in heartbeats and not in time, so that a busy process does not take its own delay for a dead
    // Redis.
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
    this.#outages.noteReady(this);
    for (const listener of this.#readyListeners) listener();
  }

  /** One line is logged for each outage, however many errors it causes. */
  #noteOutage(error: unknown): void {
    if (!this.#isClosed) this.#outages.noteBroken(this, this.#options.purpose, error);
  }
}
