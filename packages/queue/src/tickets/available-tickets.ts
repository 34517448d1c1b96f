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
 * Tells consumers that taking is worth a try. A published message makes it instant; a look at the lanes every second
 * makes it certain (messages can be lost, and a delayed ticket that falls due tells nobody by itself).
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
    // What was added just before the subscription became live was not heard.
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

  /** One look at every lane that somebody listens to. */
  async tick(): Promise<void> {
    if (this.#isLooking || !this.#options.link.isReady()) return;
    this.#isLooking = true;
    try {
      await Promise.all([...this.#listeners.keys()].map((lane) => this.#look(lane)));
    } catch (error) {
      // A broken connection is the link's business; anything else must be seen.
      if (this.#options.link.isReady())
        this.#options.logger.warn({ err: error }, "Could not look at the lanes.");
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

  async #look(lane: string): Promise<void> {
    const { redis } = this.#options.link;
    const bullLane = this.#options.laneNamed(lane);
    await bullLane.promoteFarOff(redis);
    const { isWaiting, nextDueAt } = await bullLane.look(redis);
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
      this.#options.logger.error({ err: error }, "A listener for available tickets raised.");
    }
  }

  #channel(lane: string): string {
    return `${this.#options.prefix}:available:${lane}`;
  }
}
