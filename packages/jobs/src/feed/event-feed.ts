import { CursorFromTheFutureError, CursorTooOldError } from "../job/job-errors.ts";
import { type JobEvent } from "../job/job.ts";
import {
  type EventReader,
  type EventScope,
  type EventSequencer,
  type FeedPage,
} from "../ports/event-store.ts";
import { type JobSignal, type Signals } from "../ports/signals.ts";
import { Outbox, type Backlog, type FeedCursor } from "./outbox.ts";
import { ProgressMemory, type LiveProgress } from "./progress-memory.ts";
import { RepeatedRead } from "./repeated-read.ts";

export interface EventFeedOptions {
  signals: Pick<Signals, "subscribe" | "publish">;
  reader: EventReader;
  sequencer: Pick<EventSequencer, "assignPositions">;
  /** After an error while the positions were read; they are read again later. */
  onError: (error: unknown) => void;
  /** How often positions are read at least, while somebody follows a batch or a tenant. */
  readEveryMs?: number;
}

/** What the feed calls when there is something for a subscription. These functions must neither throw nor wait. */
export interface Listener {
  /** `outbox.take` may have something to give. */
  onNews: () => void;
  /** Progress of a job of this subscription, between its events. */
  onProgress?: (progress: LiveProgress) => void;
  /** Events and progress may have been missed. The outbox reads on by itself. */
  onMissed?: () => void;
}

export interface Subscription {
  readonly outbox: Outbox;
  readonly end: () => void;
}

/** Finds in the database what was not told live. Its functions must neither throw nor wait. */
export interface LiveHearer {
  onSignal: (signal: JobSignal) => void;
  /** Signals may have been missed. */
  onMissed: () => void;
}

interface Subscriber {
  outbox: Outbox;
  listener: Listener;
  scope: { jobId: string } | EventScope;
}

const readEveryDefaultMs = 1_000;
const pageSize = 500;
const assignedAtOnce = 2_000;

/**
 * The one feed of this process: it hears what is told live of all jobs, and hands it to the outboxes of those who watch a job,
 * a batch or a tenant.
 *
 * Live events never wait for positions. Only while somebody follows a batch or a tenant, the feed also reads events in the
 * order of their positions, once for all subscribers, and has positions assigned where the workers have not done so yet.
 */
export class EventFeed {
  readonly #with: EventFeedOptions;
  readonly #memory = new ProgressMemory();
  /** By the id of the job, batch or tenant. */
  readonly #subscribers = new Map<string, Set<Subscriber>>();
  /** By the id of the tenant. */
  readonly #hearers = new Map<string, Set<LiveHearer>>();
  readonly #reading: RepeatedRead;
  #size = 0;
  #followers = 0;
  /** Up to which position followers were told; `null` while nobody follows. */
  #position: bigint | null = null;

  constructor(options: EventFeedOptions) {
    this.#with = options;
    this.#reading = new RepeatedRead({
      read: () => this.tick(),
      everyMs: options.readEveryMs ?? readEveryDefaultMs,
      onError: options.onError,
    });
    // While Redis is away this stays pending, and subscribers look into the database by themselves.
    void options.signals.subscribe(
      "job",
      (signal) => {
        this.#tell(signal);
      },
      () => {
        this.#tellMissed();
      },
    );
  }

  /** How many subscriptions there are. */
  get size(): number {
    return this.#size;
  }

  /** The furthest progress that was told of the job's latest attempt, which may have ended since. */
  progressOf(jobId: string): LiveProgress | undefined {
    return this.#memory.progressOf(jobId);
  }

  /**
   * The events of one job after a sequence. Sequences have no gaps, so that this needs no positions.
   * @param options.listEvents reads events of the job after a sequence, oldest first
   */
  watchJob(
    jobId: string,
    options: Listener & {
      afterSequence: number;
      listEvents: (afterSequence: number, limit: number) => Promise<JobEvent[]>;
    },
  ): Subscription {
    const backlog: Backlog = {
      listUnread: ({ afterSequence }, limit) => options.listEvents(afterSequence, limit),
      listPlaced: null,
    };
    const cursor = { position: 0n, ahead: new Map([[jobId, options.afterSequence]]) };
    return this.#subscribe({ jobId }, { backlog, cursor, listener: options });
  }

  /**
   * The events of a batch or a tenant after a cursor. Without a cursor they begin now: what is read from the database after
   * this has resolved, and the events that follow, are the whole.
   * @param options.aheadMax of how many jobs events may be delivered before they have positions; a bound of the cursor's size
   */
  async follow(
    scope: EventScope,
    options: Listener & { cursor: FeedCursor | null; aheadMax?: number },
  ): Promise<Subscription> {
    const { reader } = this.#with;
    const cursor = options.cursor ?? { position: await reader.findLastPosition(), ahead: new Map() };
    const backlog: Backlog = {
      listUnread: (of, limit) => reader.listUnread(scope, of, limit),
      listPlaced: (after, limit) => reader.listPlaced(scope, after, limit),
    };
    const { aheadMax } = options;
    const { outbox, end } = this.#subscribe(scope, { backlog, cursor, aheadMax, listener: options });
    this.#followers += 1;
    this.#reading.start();
    // An event may have been committed since the position was read, and told live before this subscription was there.
    this.#reading.readSoon();
    return {
      outbox,
      end: once(() => {
        end();
        this.#followers -= 1;
        if (this.#followers > 0) return;
        this.#position = null;
        this.#reading.stop();
      }),
    };
  }

  /**
   * What is told live of a tenant's jobs, without the order and the completeness that an outbox gives.
   * @returns ends that
   */
  hear(tenantId: string, hearer: LiveHearer): () => void {
    const hearers = this.#hearers.get(tenantId) ?? new Set();
    this.#hearers.set(tenantId, hearers.add(hearer));
    return () => {
      hearers.delete(hearer);
      if (hearers.size === 0 && this.#hearers.get(tenantId) === hearers) this.#hearers.delete(tenantId);
    };
  }

  /** Whether the scope has events after a position: with a later one, or without any yet. */
  hasNewsAfter(scope: EventScope, position: bigint): Promise<boolean> {
    return this.#with.reader.hasNewsAfter(scope, position);
  }

  /** Has positions assigned, and tells all followers of the events up to the latest one. */
  async tick(): Promise<void> {
    await this.#assignPositions();
    try {
      while (this.#followers > 0 && (await this.#readPage()));
    } catch (error) {
      // The outboxes find a gap at the next page, read on from their own cursors, and tell their subscribers of the error.
      const isOffTheFeed = error instanceof CursorTooOldError || error instanceof CursorFromTheFutureError;
      if (!isOffTheFeed) throw error;
      this.#position = null;
      this.#tellMissed();
    }
  }

  /** @returns whether there may be another one */
  async #readPage(): Promise<boolean> {
    const { reader } = this.#with;
    const after = this.#position ?? (await this.#findStart());
    const page = await reader.listPlaced("all", after, pageSize);
    if (page.upTo > after) this.#tellPlaced(page, after);
    this.#position = page.upTo;
    return page.events.length >= pageSize;
  }

  /** Followers that have read from the database before may stand before the position at which the feed begins. */
  async #findStart(): Promise<bigint> {
    const position = await this.#with.reader.findLastPosition();
    for (const { outbox, scope } of this.#all()) if (!("jobId" in scope)) outbox.lookAgain();
    return position;
  }

  #subscribe(
    scope: Subscriber["scope"],
    subscribed: { backlog: Backlog; cursor: FeedCursor; aheadMax?: number | undefined; listener: Listener },
  ): Subscription {
    const { backlog, cursor, aheadMax, listener } = subscribed;
    const { onNews } = listener;
    const outbox = new Outbox({ backlog, cursor, onNews, ...(aheadMax !== undefined && { aheadMax }) });
    const subscriber = { outbox, listener, scope };
    const id = idOf(scope);
    const others = this.#subscribers.get(id) ?? new Set();
    this.#subscribers.set(id, others.add(subscriber));
    this.#size += 1;
    return {
      outbox,
      end: once(() => {
        this.#size -= 1;
        others.delete(subscriber);
        if (others.size === 0) this.#subscribers.delete(id);
      }),
    };
  }

  #tell(signal: JobSignal): void {
    this.#memory.note(signal);
    for (const hearer of this.#hearers.get(signal.tenantId ?? "") ?? []) hearer.onSignal(signal);
    const event = signal.kind === "event" ? eventOf(signal) : null;
    for (const id of [signal.jobId, signal.batchId, signal.tenantId]) {
      for (const { outbox, listener, scope } of this.#subscribersOf(id)) {
        if (signal.kind === "progress") listener.onProgress?.(signal);
        if (event === null) continue;
        outbox.noteLive(event);
        if (!("jobId" in scope)) this.#reading.readSoon();
      }
    }
  }

  #tellMissed(): void {
    for (const { outbox, listener } of this.#all()) {
      outbox.lookAgain();
      listener.onMissed?.();
    }
    for (const hearers of this.#hearers.values()) for (const hearer of hearers) hearer.onMissed();
  }

  #subscribersOf(id: string | null): Iterable<Subscriber> {
    return (id === null ? undefined : this.#subscribers.get(id)) ?? [];
  }

  *#all(): Generator<Subscriber> {
    for (const subscribers of this.#subscribers.values()) yield* subscribers;
  }

  /** Workers do this as well. Where it cannot be done now, events go on without positions for a while. */
  async #assignPositions(): Promise<void> {
    const { sequencer, signals, onError } = this.#with;
    try {
      for (;;) {
        const { deliveries, mayBeMore } = await sequencer.assignPositions(assignedAtOnce);
        if (deliveries > 0) signals.publish("deliveries-due", { deliveries });
        if (!mayBeMore) return;
      }
    } catch (error) {
      onError(error);
    }
  }

  #tellPlaced(page: FeedPage, after: bigint): void {
    for (const { outbox, scope } of this.#all()) {
      if ("jobId" in scope) continue;
      const events = page.events.filter(({ tenantId, batchId }) =>
        "batchId" in scope ? batchId === scope.batchId : tenantId === scope.tenantId,
      );
      outbox.notePlaced({ ...page, events, after });
    }
  }
}

function idOf(scope: Subscriber["scope"]): string {
  if ("jobId" in scope) return scope.jobId;
  return "batchId" in scope ? scope.batchId : scope.tenantId;
}

function eventOf({ event }: Extract<JobSignal, { kind: "event" }>): JobEvent {
  return { ...event, createdAt: new Date(event.createdAt) };
}

function once(end: () => void): () => void {
  let hasEnded = false;
  return () => {
    if (!hasEnded) end();
    hasEnded = true;
  };
}
