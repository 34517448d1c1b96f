import { type Signals, type SignalTopic, type SignalTopics } from "@genga/jobs";
import { RedisLink, type QueueLogger } from "../redis/redis-link.ts";
import { RedisSubscriber } from "../redis/redis-subscriber.ts";
import { signalSchemas } from "./signal-messages.ts";

export interface SignalsOptions {
  redisUrl: string;
  /** The prefix of every channel; default: `genga`. */
  prefix?: string;
  logger: QueueLogger;
}

/** Signals that were not delivered, since the start of this process. */
export interface SignalCounts {
  /** Signals that were not sent: Redis was away, too many were under way, or the signal was too large. */
  dropped: number;
  /** Signals that were received but could not be read. */
  malformed: number;
}

/** Connects in the background. Uses two connections: one to publish, one to subscribe. */
export function createSignals(options: SignalsOptions): RedisSignals {
  return new RedisSignals(options);
}

/** At most this many signals are on their way to Redis at once; more are dropped. */
const sendingMax = 10_000;
const messageBytesMax = 256 * 1024;
/** Signals that follow another one within this time are sent together. */
const togetherMs = 4;

export class RedisSignals implements Signals {
  readonly #prefix: string;
  readonly #logger: QueueLogger;
  readonly #link: RedisLink;
  readonly #subscriber: RedisSubscriber;
  readonly #counts: SignalCounts = { dropped: 0, malformed: 0 };
  #sending = 0;
  #waiting: { channel: string; text: string; topic: SignalTopic }[] = [];
  #sentAt = Number.NEGATIVE_INFINITY;
  #sendTimer: NodeJS.Timeout | null = null;

  constructor(options: SignalsOptions) {
    const { redisUrl, prefix = "genga", logger } = options;
    this.#prefix = prefix;
    this.#logger = logger;
    this.#link = new RedisLink({ redisUrl, purpose: "sending signals", logger });
    this.#subscriber = new RedisSubscriber({ redisUrl, purpose: "receiving signals", logger });
  }

  publish<Topic extends SignalTopic>(topic: Topic, message: SignalTopics[Topic]): void {
    const text = JSON.stringify(message);
    if (this.#sending >= sendingMax || Buffer.byteLength(text) > messageBytesMax) {
      this.#counts.dropped += 1;
      return;
    }
    this.#sending += 1;
    this.#waiting.push({ channel: this.#channel(topic), text, topic });
    if (this.#sendTimer !== null) return;
    const leftMs = this.#sentAt + togetherMs - performance.now();
    if (leftMs <= 0) this.#sendWaiting();
    else {
      this.#sendTimer = setTimeout(() => {
        this.#sendWaiting();
      }, leftMs);
    }
  }

  /** With one write to the connection, which costs more than the signals do. */
  #sendWaiting(): void {
    clearTimeout(this.#sendTimer ?? undefined);
    this.#sendTimer = null;
    this.#sentAt = performance.now();
    const signals = this.#waiting;
    this.#waiting = [];
    if (signals.length === 0) return;
    this.#link
      .run(async (redis) => {
        const pipeline = redis.pipeline();
        for (const { channel, text } of signals) pipeline.publish(channel, text);
        return (await pipeline.exec()) ?? [];
      })
      .then(
        (results) => {
          for (const [index, { topic }] of signals.entries()) {
            const error =
              results[index] === undefined ? new Error("There was no answer.") : results[index][0];
            if (error !== null) this.#noteDropped(error, topic);
          }
        },
        (error: unknown) => {
          for (const { topic } of signals) this.#noteDropped(error, topic);
        },
      )
      .finally(() => {
        this.#sending -= signals.length;
      });
  }

  #noteDropped(error: unknown, topic: SignalTopic): void {
    this.#counts.dropped += 1;
    // The link logs outages; a failure on a live connection gets its own line.
    if (this.#link.isReady()) this.#logger.warn({ err: error, topic }, "A signal was not sent.");
  }

  async subscribe<Topic extends SignalTopic>(
    topic: Topic,
    listener: (message: SignalTopics[Topic]) => void,
    onReconnect?: () => void,
  ): Promise<() => void> {
    const subscription = this.#subscriber.subscribe(
      this.#channel(topic),
      (text) => {
        const message = this.#read(topic, text);
        if (message !== null) listener(message);
      },
      onReconnect,
    );
    await subscription.live;
    return subscription.end;
  }

  counts(): Readonly<SignalCounts> {
    return { ...this.#counts };
  }

  async close(): Promise<void> {
    this.#sendWaiting();
    await this.#subscriber.close();
    await this.#link.close();
  }

  #read<Topic extends SignalTopic>(topic: Topic, text: string): SignalTopics[Topic] | null {
    const parsed = signalSchemas[topic].safeParse(parseJson(text));
    if (parsed.success) return parsed.data;
    this.#counts.malformed += 1;
    this.#logger.warn({ topic, reason: parsed.error.message }, "Received a signal that could not be read.");
    return null;
  }

  #channel(topic: SignalTopic): string {
    return `${this.#prefix}:signal:${topic}`;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
