import { type LaneHead } from "@genga/jobs";
import { type QueueLogger, type RedisLink } from "../redis/redis-link.ts";
import { type RedisSubscriber } from "../redis/redis-subscriber.ts";
import { type BullLane } from "./bull-lane.ts";
import {
  keepLanes,
  noteChangedLanes,
  noteLanes,
  readLaneTickets,
  releaseLanes,
  type LaneTickets,
} from "./lane-tickets.ts";

const lookIntervalMs = 1000;
/** The lock of the process that keeps the lanes lasts for this many looks. */
const looksPerLock = 3;
const lanesMax = 500;
const crowdedEmptyMs = 60_000;
/** Changes of lanes are told together, at most so often; a look each second is to see them. */
const tellEveryMs = 100;

export interface LaneWatchOptions {
  link: RedisLink;
  subscriber: RedisSubscriber;
  prefix: string;
  /** Names this process in the lock. */
  token: string;
  /** The time between two checks for the tickets of dead holders. */
  stallCheckMs: number;
  /** A lane that was empty and got no ticket for so long vanishes. */
  emptyMs: number;
  laneNamed: (lane: string) => BullLane;
  /** The lane is empty and its keys are removed. */
  onVanished: (lane: string) => void;
  logger: QueueLogger;
}

/**
 * What a consumer knows of all lanes: which have tickets to take, and which ticket is first. One message channel tells
 * at once of lanes to which tickets were added. Each second every consumer looks at the states of all lanes, which
 * covers lost messages; one of the consumers, which holds a lock, reads for all others the lanes in which something has
 * changed, as the processes tell (`tell`). It also returns the tickets of dead holders, promotes tickets that were delayed
 * too long, and removes empty lanes.
 */
export class LaneWatch {
  readonly #options: LaneWatchOptions;
  readonly #listeners = new Set<() => void>();
  readonly #states = new Map<string, LaneTickets & { readAt: number }>();
  /** Lanes whose state may have changed since it was read. */
  readonly #changed = new Set<string>();
  /** Lanes whose change the next message tells. */
  readonly #untold = new Set<string>();
  #tellTimer: NodeJS.Timeout | null = null;
  #due: { at: number; timer: NodeJS.Timeout } | null = null;
  #lookTimer: NodeJS.Timeout | null = null;
  #look: Promise<void> | null = null;
  #hasLooked = false;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #isKeeper = false;
  #checkedStallsAt = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(options: LaneWatchOptions) {
    this.#options = options;
    options.link.onReady(() => {
      // Redis may have lost everything, and messages were missed.
      this.#hasLooked = false;
      this.#wake();
    });
  }

  /** This process takes tickets: it looks at the lanes each second, and may be the one that keeps them. */
  start(): void {
    if (this.#isClosed || this.#lookTimer !== null) return;
    const intervalMs = Math.min(lookIntervalMs, this.#options.stallCheckMs);
    this.#lookTimer = setInterval(() => void this.tick(), intervalMs).unref();
  }

  /** Calls `listener` when a lane may have a ticket to take. The returned function ends it. */
  listen(listener: () => void): () => void {
    this.start();
    const wake = (): void => {
      this.#call(listener);
    };
    this.#listeners.add(wake);
    const subscription = this.#options.subscriber.subscribe(
      this.#channel,
      (message) => {
        for (const lane of message.split(" ")) this.noteChange(lane);
        wake();
      },
      wake,
    );
    // A ticket that was added just before the subscription became live sent a message that was missed.
    void subscription.live.then(() => {
      this.#hasLooked = false;
      if (this.#listeners.has(wake)) wake();
    });
    return () => {
      subscription.end();
      this.#listeners.delete(wake);
    };
  }

  /** Tells all consumers that these lanes have tickets. */
  async announce(lanes: string[]): Promise<void> {
    const { redis } = this.#options.link;
    const { prefix } = this.#options;
    await Promise.all([noteLanes(redis, prefix, lanes), redis.publish(this.#channel, lanes.join(" "))]);
  }

  /** The state of the lane is read again before the next answer of `heads`. */
  noteChange(lane: string): void {
    this.#changed.add(lane);
  }

  /** Tells the process that keeps the lanes that tickets of the lane were taken, have ended, or were removed. */
  tell(lane: string): void {
    this.#untold.add(lane);
    if (this.#isClosed) return;
    this.#tellTimer ??= setTimeout(() => {
      this.#tellTimer = null;
      void this.#tellAll();
    }, tellEveryMs).unref();
  }

  /** If it fails, the lanes are read in their turn. */
  async #tellAll(): Promise<void> {
    const { link, prefix } = this.#options;
    const lanes = [...this.#untold];
    this.#untold.clear();
    if (link.isReady()) await noteChangedLanes(link.redis, prefix, lanes).catch(() => undefined);
  }

  /** Wakes this process's listeners at that moment. */
  wakeAt(lane: string, moment: number): void {
    if (this.#listeners.size === 0 || this.#isClosed || (this.#due !== null && this.#due.at <= moment))
      return;
    clearTimeout(this.#due?.timer);
    const timer = setTimeout(
      () => {
        this.#due = null;
        this.noteChange(lane);
        for (const state of this.#states.values()) {
          if (state.nextDueAt !== null && state.nextDueAt <= Date.now()) this.noteChange(state.lane);
        }
        this.#wake();
      },
      Math.max(moment - Date.now(), 0),
    );
    this.#due = { at: moment, timer: timer.unref() };
  }

  /** How many lanes there were at the last look, those with a history only included. */
  get lanesCount(): number {
    return this.#states.size;
  }

  /** The lanes that have tickets to take. Reads those that have changed, with one command. */
  async heads(): Promise<LaneHead[]> {
    // A process that takes no tickets hears no messages and looks only when it is asked.
    const isOld = this.#lookTimer === null && performance.now() - this.#lookedAt >= lookIntervalMs;
    if (!this.#hasLooked || isOld) await this.#lookOnce();
    if (this.#changed.size > 0) {
      const changed = [...this.#changed];
      this.#changed.clear();
      try {
        const { redis } = this.#options.link;
        const { readAt, states } = await readLaneTickets(redis, this.#options.prefix, changed);
        for (const state of states) this.#store(state, readAt);
      } catch (error) {
        for (const lane of changed) this.noteChange(lane);
        throw error;
      }
    }
    return [...this.#states.values()].flatMap(({ headPriority, ...state }) => {
      const { lane, waiting, waitingInBand, waitingSince } = state;
      if (headPriority === null) return [];
      return { lane, waiting, waitingInBand, waitingSince: new Date(waitingSince), headPriority };
    });
  }

  /** Looks at all lanes once. */
  async tick(): Promise<void> {
    if (this.#look !== null || !this.#options.link.isReady()) return;
    try {
      await this.#lookOnce();
      if (this.#isKeeper) await this.#keep();
      if ([...this.#states.values()].some(({ waiting }) => waiting > 0)) this.#wake();
    } catch (error) {
      // The link logs broken connections; other errors are logged here.
      if (this.#options.link.isReady())
        this.#options.logger.warn({ err: error }, "Could not read the state of the lanes.");
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#lookTimer !== null) clearInterval(this.#lookTimer);
    clearTimeout(this.#due?.timer);
    clearTimeout(this.#tellTimer ?? undefined);
    this.#listeners.clear();
    await this.#tellAll();
    const { link, prefix, token } = this.#options;
    if (!this.#isKeeper || !link.isReady()) return;
    // If this fails, the lock runs out.
    await releaseLanes(link.redis, prefix, token).catch(() => undefined);
  }

  /** Callers at the same time share one look. */
  #lookOnce(): Promise<void> {
    this.#look ??= this.#readAll().finally(() => {
      this.#look = null;
    });
    return this.#look;
  }

  async #readAll(): Promise<void> {
    const { link, prefix, token, emptyMs, onVanished } = this.#options;
    const isConsumer = this.#lookTimer !== null && !this.#isClosed;
    const { isKeeper, readAt, states } = await keepLanes(link.redis, {
      ...{ prefix, emptyMs, lanesMax, crowdedEmptyMs },
      token: isConsumer ? token : null,
      lockMs: looksPerLock * lookIntervalMs,
    });
    this.#isKeeper = isKeeper;
    this.#hasLooked = true;
    this.#lookedAt = performance.now();
    const names = new Set(states.map(({ lane }) => lane));
    for (const [lane, known] of this.#states) {
      if (names.has(lane) || known.readAt > readAt) continue;
      this.#states.delete(lane);
      onVanished(lane);
    }
    for (const state of states) this.#store(state, readAt);
  }

  #store(state: LaneTickets, readAt: number): void {
    const known = this.#states.get(state.lane);
    if (known !== undefined && known.readAt > readAt) return;
    const waitingSince = Date.now() - (readAt - state.waitingSince);
    this.#states.set(state.lane, { ...state, waitingSince, readAt });
    if (state.nextDueAt !== null && state.nextDueAt <= Date.now() + lookIntervalMs)
      this.wakeAt(state.lane, state.nextDueAt);
  }

  /** What one consumer does for all: the commands of all lanes are sent together. */
  async #keep(): Promise<void> {
    const { link, laneNamed, stallCheckMs } = this.#options;
    const states = [...this.#states.values()];
    const tooLong = states.filter(({ isDelayedTooLong }) => isDelayedTooLong);
    await Promise.all(
      tooLong.map(async ({ lane }) => {
        await laneNamed(lane).promoteDelayedTooLong(link.redis);
        this.tell(lane);
      }),
    );
    if (performance.now() - this.#checkedStallsAt < stallCheckMs) return;
    this.#checkedStallsAt = performance.now();
    const held = states.filter((state) => state.held > 0);
    await Promise.all(held.map(({ lane }) => this.#returnStalled(lane)));
  }

  async #returnStalled(lane: string): Promise<void> {
    const tickets = await this.#options.laneNamed(lane).returnStalled();
    if (tickets.length === 0) return;
    this.#options.logger.info({ lane, tickets }, "Tickets of a dead holder wait again.");
    this.noteChange(lane);
    await this.announce([lane]);
  }

  #wake(): void {
    for (const wake of this.#listeners) wake();
  }

  #call(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      this.#options.logger.error({ err: error }, "A listener for available tickets threw an error.");
    }
  }

  get #channel(): string {
    return `${this.#options.prefix}:available`;
  }
}
