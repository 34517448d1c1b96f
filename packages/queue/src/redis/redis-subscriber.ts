import { RedisLink, type RedisLinkOptions } from "./redis-link.ts";

interface Subscription {
  onMessage: (message: string) => void;
  /** Called after a reconnect: messages may have been missed before it. */
  onReconnect: () => void;
  /** Resolves `live`; null once the subscription was live for the first time. */
  becomeLive: (() => void) | null;
}

/**
 * Redis pub/sub on a connection of its own. Subscriptions outlive outages: they are made again after every reconnect,
 * and `onReconnect` tells each subscriber, because messages may have been missed in between.
 */
export class RedisSubscriber {
  readonly #link: RedisLink;
  readonly #logger: RedisLinkOptions["logger"];
  readonly #subscriptions = new Map<string, Set<Subscription>>();
  /** The channels to which the present connection is subscribed. */
  readonly #liveChannels = new Set<string>();

  constructor(options: RedisLinkOptions) {
    this.#link = new RedisLink(options);
    this.#logger = options.logger;
    this.#link.redis.on("message", (channel: string, message: string) => {
      this.#deliver(channel, message);
    });
    this.#link.redis.on("close", () => {
      this.#liveChannels.clear();
    });
    this.#link.onReady(() => {
      void this.#listenTo([...this.#subscriptions.keys()]);
    });
  }

  /**
   * `live` resolves once messages can no longer be missed; while Redis is away it stays pending, and it resolves on
   * `close`. `end` may be called at any time.
   */
  subscribe(
    channel: string,
    onMessage: (message: string) => void,
    onReconnect: () => void = () => undefined,
  ): { live: Promise<void>; end: () => void } {
    const subscription: Subscription = { onMessage, onReconnect, becomeLive: null };
    const live = new Promise<void>((resolve) => {
      subscription.becomeLive = resolve;
    });
    const onChannel = this.#subscriptions.get(channel) ?? new Set();
    onChannel.add(subscription);
    this.#subscriptions.set(channel, onChannel);
    if (this.#liveChannels.has(channel)) becomeLive(subscription);
    else if (this.#link.isReady()) void this.#listenTo([channel]);
    return {
      live,
      end: () => {
        becomeLive(subscription);
        onChannel.delete(subscription);
        if (onChannel.size === 0) this.#forget(channel);
      },
    };
  }

  async close(): Promise<void> {
    for (const onChannel of this.#subscriptions.values()) {
      for (const subscription of onChannel) becomeLive(subscription);
    }
    this.#subscriptions.clear();
    await this.#link.close();
  }

  async #listenTo(channels: string[]): Promise<void> {
    if (channels.length === 0) return;
    try {
      await this.#link.redis.subscribe(...channels);
    } catch (error) {
      // If the connection broke, the next connect subscribes all channels again. If Redis refused, a new connection is
      // forced.
      if (this.#link.isReady()) {
        this.#logger.error({ err: error, channels }, "Redis refused a subscription; connecting again.");
        this.#link.redis.disconnect(true);
      }
      return;
    }
    for (const channel of channels) this.#noteLive(channel);
  }

  #noteLive(channel: string): void {
    // Two subscriptions to a channel at the same moment send two commands; only the first answer makes it live.
    if (this.#liveChannels.has(channel)) return;
    this.#liveChannels.add(channel);
    for (const subscription of this.#subscriptions.get(channel) ?? []) {
      if (subscription.becomeLive === null) this.#call(subscription.onReconnect);
      else becomeLive(subscription);
    }
  }

  #deliver(channel: string, message: string): void {
    for (const { onMessage } of this.#subscriptions.get(channel) ?? []) {
      this.#call(() => {
        onMessage(message);
      });
    }
  }

  #call(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      this.#logger.error({ err: error }, "A listener of Redis messages threw an error.");
    }
  }

  #forget(channel: string): void {
    if (this.#subscriptions.get(channel)?.size !== 0) return;
    this.#subscriptions.delete(channel);
    this.#liveChannels.delete(channel);
    // If this fails, the connection is gone, and the subscription with it.
    if (this.#link.isReady()) this.#link.redis.unsubscribe(channel).catch(() => undefined);
  }
}

function becomeLive(subscription: Subscription): void {
  subscription.becomeLive?.();
  subscription.becomeLive = null;
}
