import { type BullLane } from "./bull-lane.ts";
import { type QueueLogger, type RedisLink } from "../redis/redis-link.ts";
import { type RedisSubscriber } from "../redis/redis-subscriber.ts";

const lookIntervalMs = 1000;

export interface AvailableTicketsOptions {
  link: RedisLink;
  subscriber: RedisSubscriber;
  prefix: string;
  laneNamed: (lane: string) => BullLane;
  logger: QueueLogger;
}

/**
 * Tells consumers that a lane may have a ticket to take. A published message tells them at once. A poll of the lanes
 * every second covers lost messages, and delayed tickets, which become due without a message.
 */
export class AvailableTickets {
  readonly #options: AvailableTicketsOptions;
  readonly #listeners = new Map<string, Set<() => void>>();
  readonly #dueTimers = new Map<string, { at: number; timer: NodeJS.Timeout }>();
  readonly #lookTimer: NodeJS.Timeout;
  #isLooking = false;

  constructor(options: AvailableTicketsOptions) {
    this.#options = options;
    options.link.onReady(() => {
      for (const lane of this.#listeners.keys()) this.#wake(lane);
    });
    this.#lookTimer = setInterval(() => void this.tick(), lookIntervalMs);
    this.#lookTimer.unref();
  }

  listen(lane: string, listener: () => void): () => void {
    this.#options.laneNamed(lane);
    const wake = (): void => {
      this.#call(listener);
    };
    const listeners = this.#listeners.get(lane) ?? new Set();
    listeners.add(wake);
    this.#listeners.set(lane, listeners);
    const subscription = this.#options.subscriber.subscribe(this.#channel(lane), wake, wake);
    // A ticket that was added just before the subscription became live sent a message that was missed.
    void subscription.live.then(() => {
      if (listeners.has(wake)) wake();
    });
    return () => {
      subscription.end();
      listeners.delete(wake);
      if (listeners.size === 0 && this.#listeners.get(lane) === listeners) this.#listeners.delete(lane);
    };
  }

  /** Wakes the lane's listeners in every process. */
  async announce(lane: string): Promise<void> {
    await this.#options.link.redis.publish(this.#channel(lane), "");
  }

  /** Wakes this process's listeners of the lane at that moment. */
  wakeAt(lane: string, moment: Date): void {
    const at = moment.getTime();
    const planned = this.#dueTimers.get(lane);
    if (!this.#listeners.has(lane) || (planned !== undefined && planned.at <= at)) return;
    clearTimeout(planned?.timer);
    const timer = setTimeout(
      () => {
        this.#dueTimers.delete(lane);
        this.#wake(lane);
      },
      Math.max(at - Date.now(), 0),
    );
    this.#dueTimers.set(lane, { at, timer: timer.unref() });
  }

  /** Polls every lane that has listeners once. */
  async tick(): Promise<void> {
    if (this.#isLooking || !this.#options.link.isReady()) return;
    this.#isLooking = true;
    try {
      await Promise.all([...this.#listeners.keys()].map((lane) => this.#poll(lane)));
    } catch (error) {
      // The link logs broken connections; other errors are logged here.
      if (this.#options.link.isReady())
        this.#options.logger.warn({ err: error }, "Could not read the state of the lanes.");
    } finally {
      this.#isLooking = false;
    }
  }

  close(): void {
    clearInterval(this.#lookTimer);
    for (const { timer } of this.#dueTimers.values()) clearTimeout(timer);
    this.#dueTimers.clear();
    this.#listeners.clear();
  }

  async #poll(lane: string): Promise<void> {
    const { redis } = this.#options.link;
    const bullLane = this.#options.laneNamed(lane);
    await bullLane.promoteDelayedTooLong(redis);
    const { isWaiting, nextDueAt } = await bullLane.readState(redis);
    if (isWaiting) this.#wake(lane);
    else if (nextDueAt !== null && nextDueAt.getTime() <= Date.now() + lookIntervalMs)
      this.wakeAt(lane, nextDueAt);
  }

  #wake(lane: string): void {
    for (const wake of this.#listeners.get(lane) ?? []) wake();
  }

  #call(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      this.#options.logger.error({ err: error }, "A listener for available tickets threw an error.");
    }
  }

  #channel(lane: string): string {
    return `${this.#options.prefix}:available:${lane}`;
  }
}
