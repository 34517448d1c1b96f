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

export class RedisSignals implements Signals {
  readonly #prefix: string;
  readonly #logger: QueueLogger;
  readonly #link: RedisLink;
  readonly #subscriber: RedisSubscriber;
  readonly #counts: SignalCounts = { dropped: 0, malformed: 0 };
  #sending = 0;

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
    this.#link
      .run((redis) => redis.publish(this.#channel(topic), text))
      .catch((error: unknown) => {
        this.#counts.dropped += 1;
        // The link logs outages; a failure on a live connection gets its own line.
        if (this.#link.isReady()) this.#logger.warn({ err: error, topic }, "A signal was not sent.");
      })
      .finally(() => {
        this.#sending -= 1;
      });
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
