import { type Signals, type SignalTopic, type SignalTopics } from "@genga/jobs";
import { RedisLink, type QueueLogger } from "../redis/redis-link.ts";
import { RedisSubscriber } from "../redis/redis-subscriber.ts";
import { signalSchemas } from "./signal-messages.ts";

export interface SignalsOptions {
  redisUrl: string;
  /** Before every channel; `genga` unless told. */
  prefix?: string;
  logger: QueueLogger;
}

/** Signals that were not delivered, since the start of this process. */
export interface SignalCounts {
  /** Sent while Redis was away, too many at once, or too large. */
  dropped: number;
  /** Received, but not understood. */
  malformed: number;
}

/** Connects in the background. Uses two connections: one to publish, one to subscribe. */
export function createSignals(options: SignalsOptions): RedisSignals {
  return new RedisSignals(options);
}

/** Signals on their way to Redis at any moment; more are dropped. */
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
        // The link tells of outages; what fails on a live connection is worth a line of its own.
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
    this.#logger.warn({ topic, reason: parsed.error.message }, "Received a signal that makes no sense.");
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
