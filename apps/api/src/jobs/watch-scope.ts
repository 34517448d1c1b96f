import {
  BatchNotFoundError,
  BatchRemovedError,
  CursorFromTheFutureError,
  CursorTooOldError,
  laterOf,
  StoreUnavailableError,
  type EventFeed,
  type EventScope,
  type FeedCursor,
  type JobEvent,
  type LiveProgress,
  type PreviewNote,
  type Subscription,
} from "@genga/jobs";
import { LRUCache } from "lru-cache";
import { type EventStream } from "../http/event-stream.ts";
import { aheadMax, textOfCursor } from "./cursor-text.ts";
import { type EventView } from "./job-view.ts";
import { type WatchedPreviews } from "./preview-view.ts";
import { WakeUp } from "./wake-up.ts";
import { endings, progressEveryMs, type WatchTimes } from "./watch-job.ts";

/** A batch, or all jobs of a tenant, as one watcher follows them. */
export interface WatchedScope {
  scope: EventScope;
  /** What the watcher is shown first, and after events were missed for good. */
  snapshot(): Promise<unknown>;
  /**
   * How many jobs have not ended. With none, nothing can follow but by a retry, and the stream ends. Infinite: it goes on.
   */
  countOpen(): Promise<number>;
  /** Those of the jobs that the watcher wants to hear of. */
  wanted(jobIds: ReadonlySet<string>): Promise<ReadonlySet<string>>;
  wantsType(type: JobEvent["type"]): boolean;
  wantsProgress: boolean;
  /** Absent: this watcher does not want to hear of previews. */
  previews?: WatchedPreviews;
  /** An event as this watcher may see it. */
  viewOfEvent(event: JobEvent): Promise<EventView>;
}

/** Events that are read before they are sent. */
const eventsAtOnce = 100;
/** Jobs whose progress waits to be sent, and jobs of which the sent progress is remembered. */
const progressMax = 2_000;
/** All jobs have ended, and the places of the last events are not read yet: until they are looked for again. */
const placesAfterMs = 50;
/** A stream that goes on after the end of its batch looks this long after the end of a job whether the batch was removed. */
const removedAfterMs = 250;

/**
 * Tells a stream everything that happens to the jobs of a batch or a tenant: a snapshot, or what follows the cursor, and
 * then live. Each event is delivered once, those of a job in order; its id is the cursor by which a client resumes on any
 * process. A batch's stream ends with a last snapshot once all of its jobs have ended. Progress may be skipped for a slow
 * reader, and never falls within an attempt.
 */
export async function watchScope(
  stream: EventStream,
  feed: EventFeed,
  watched: WatchedScope,
  options: { cursor: FeedCursor | null; times: WatchTimes },
): Promise<void> {
  const watch = new ScopeWatch(stream, feed, watched, options.times);
  try {
    await watch.run(options.cursor);
  } finally {
    watch.end();
    stream.end();
  }
}

class ScopeWatch {
  readonly #stream: EventStream;
  readonly #feed: EventFeed;
  readonly #watched: WatchedScope;
  readonly #times: WatchTimes;
  readonly #progress = new Map<string, LiveProgress>();
  readonly #previews = new Map<string, PreviewNote>();
  readonly #endPreviews: (() => void) | undefined;
  readonly #sentProgress = new LRUCache<string, { attempt: number; percent: number; hasEnded: boolean }>({
    max: progressMax,
  });
  #subscription: Subscription | undefined;
  /** Events that the outbox has given, and that are not sent yet, with where the client stands after each. */
  readonly #taken: { event: JobEvent; id: string }[] = [];
  #progressAt = 0;
  #lookAt = 0;
  /** When to look whether all jobs have ended; `null` = not before more jobs end. */
  #doneAt: number | null = 0;
  /** How many jobs must end before all have: as many as were open at the last look. */
  #endsToCome = 0;
  #isStoreAway = false;
  /** The snapshot with which the subscription begins was not sent yet. */
  #owesSnapshot = false;
  #hasEnded = false;
  readonly #wakeUp = new WakeUp();

  constructor(stream: EventStream, feed: EventFeed, watched: WatchedScope, times: WatchTimes) {
    this.#stream = stream;
    this.#feed = feed;
    this.#watched = watched;
    this.#times = times;
    this.#endPreviews = watched.previews?.watch((note) => {
      if (!watched.wantsProgress || this.#previews.size >= progressMax) return;
      this.#previews.set(note.jobId, note);
      this.#wakeUp.wake();
    });
  }

  end(): void {
    this.#subscription?.end();
    this.#endPreviews?.();
  }

  async run(cursor: FeedCursor | null): Promise<void> {
    await this.#whileStoreAnswers(() => this.#follow(cursor));
    while (!this.#hasEnded && !this.#stream.closed.aborted) {
      const now = performance.now();
      if (now >= this.#lookAt) await this.#look(cursor);
      else if (this.#isStoreAway) await this.#rest();
      else if (this.#hasNews) await this.#whileStoreAnswers(() => this.#sendEvents());
      else if (this.#progress.size > 0 && now >= this.#progressAt)
        await this.#whileStoreAnswers(() => this.#sendProgress());
      else if (this.#previews.size > 0) await this.#whileStoreAnswers(() => this.#sendPreviews());
      else if (this.#doneAt !== null && now >= this.#doneAt)
        await this.#whileStoreAnswers(() => this.#endIfDone());
      else await this.#rest();
    }
  }

  get #hasNews(): boolean {
    return this.#taken.length > 0 || this.#subscription?.outbox.hasNews === true;
  }

  /** Begins after the cursor, or now with a snapshot. */
  async #follow(cursor: FeedCursor | null): Promise<void> {
    this.#planLook(this.#times.lookMaxMs);
    // Ends of jobs may be among the events that are skipped.
    this.#doneAt = 0;
    this.#subscription?.end();
    this.#subscription = await this.#feed.follow(this.#watched.scope, {
      ...{ cursor, aheadMax },
      onNews: () => {
        this.#wakeUp.wake();
      },
      onProgress: (progress) => {
        this.#noteProgress(progress);
      },
    });
    this.#owesSnapshot = cursor === null;
    if (this.#owesSnapshot) await this.#sendSnapshot();
  }

  /** The events that follow this snapshot, and the snapshot, are the whole. */
  async #sendSnapshot(): Promise<void> {
    const { outbox } = this.#subscription ?? {};
    const id = outbox && textOfCursor(outbox.cursor);
    await this.#stream.send("snapshot", await this.#watched.snapshot(), id);
    this.#owesSnapshot = false;
  }

  /** Asks the database again after it was away; otherwise finds a batch that was removed, or whose end was not told. */
  async #look(cursor: FeedCursor | null): Promise<void> {
    this.#planLook(this.#times.lookMaxMs);
    this.#doneAt = 0;
    await this.#whileStoreAnswers(async () => {
      if (this.#subscription === undefined) await this.#follow(cursor);
      else if (this.#owesSnapshot) await this.#sendSnapshot();
      await this.#watched.countOpen();
    });
  }

  async #sendEvents(): Promise<void> {
    if (this.#taken.length === 0) await this.#takeEvents();
    const wanted = await this.#watched.wanted(new Set(this.#taken.map(({ event }) => event.jobId)));
    for (;;) {
      const [next] = this.#taken;
      if (next === undefined) break;
      await this.#sendEvent(next.event, next.id, wanted.has(next.event.jobId));
      this.#taken.shift();
    }
  }

  async #takeEvents(): Promise<void> {
    const outbox = this.#subscription?.outbox;
    try {
      while (outbox !== undefined && this.#taken.length < eventsAtOnce) {
        const event = await outbox.take();
        if (event === null) break;
        this.#taken.push({ event, id: textOfCursor(outbox.cursor) });
      }
    } catch (error) {
      if (this.#taken.length > 0) return; // The next call finds it again.
      if (!(error instanceof CursorTooOldError || error instanceof CursorFromTheFutureError)) throw error;
      await this.#follow(null);
    }
  }

  async #sendEvent(event: JobEvent, id: string, isWanted: boolean): Promise<void> {
    const { jobId, type, attempt } = event;
    if (endings.has(type)) this.#noteEnd();
    if (endings.has(type) || type === "requeued")
      this.#sentProgress.set(jobId, { attempt, percent: 100, hasEnded: true });
    if (!isWanted || !this.#watched.wantsType(type) || this.#stream.closed.aborted) return;
    await this.#stream.send("event", await this.#watched.viewOfEvent(event), id);
  }

  /** An end that was counted before makes the next look come too early, and that look counts anew. */
  #noteEnd(): void {
    this.#endsToCome -= 1;
    if (this.#endsToCome <= 0) this.#doneAt ??= performance.now();
    else if (this.#endsToCome === Infinity) this.#doneAt ??= performance.now() + removedAfterMs;
  }

  #noteProgress(progress: LiveProgress): void {
    if (!this.#watched.wantsProgress) return;
    const { jobId } = progress;
    const waiting = this.#progress.get(jobId);
    if (waiting === undefined && this.#progress.size >= progressMax) return;
    this.#progress.set(jobId, laterOf(progress, waiting));
    this.#wakeUp.wake();
  }

  /** The latest progress of each job that has some. */
  async #sendProgress(): Promise<void> {
    this.#progressAt = performance.now() + progressEveryMs;
    const waiting = [...this.#progress.values()];
    this.#progress.clear();
    const wanted = await this.#watched.wanted(new Set(waiting.map(({ jobId }) => jobId)));
    for (const { jobId, attempt, phase, progress } of waiting) {
      const sent = this.#sentProgress.get(jobId);
      const isForward =
        sent === undefined ||
        attempt > sent.attempt ||
        (attempt === sent.attempt && !sent.hasEnded && progress.percent >= sent.percent);
      if (!isForward || !wanted.has(jobId) || this.#stream.closed.aborted) continue;
      this.#sentProgress.set(jobId, { attempt, percent: progress.percent, hasEnded: false });
      await this.#stream.send("progress", { jobId, attempt, phase, progress });
    }
  }

  async #sendPreviews(): Promise<void> {
    const notes = [...this.#previews.values()];
    this.#previews.clear();
    const wanted = await this.#watched.wanted(new Set(notes.map(({ jobId }) => jobId)));
    for (const note of notes) {
      const hasEnded = this.#sentProgress.get(note.jobId)?.hasEnded === true;
      if (wanted.has(note.jobId) && !hasEnded && !this.#stream.closed.aborted)
        await this.#stream.send("preview", this.#watched.previews?.viewOf(note));
    }
  }

  /**
   * Ends the stream of a batch whose jobs have ended, once all of their events were sent. The batch is read before its
   * events are looked for, so that a retry in between shows as an event.
   */
  async #endIfDone(): Promise<void> {
    this.#doneAt = null;
    this.#endsToCome = await this.#watched.countOpen();
    if (this.#endsToCome > 0) return;
    const outbox = this.#subscription?.outbox;
    if (outbox === undefined) return;
    // What was told ahead of its position has one after this, or none yet; unless its job was removed.
    const { position } = outbox.cursor;
    if (outbox.hasNews || (await this.#feed.hasNewsAfter(this.#watched.scope, position))) {
      this.#doneAt = performance.now() + placesAfterMs;
      return;
    }
    await this.#sendSnapshot();
    this.#hasEnded = true;
  }

  /** While the database is away, it is asked again at intervals. */
  async #whileStoreAnswers(work: () => Promise<void>): Promise<void> {
    this.#isStoreAway = false;
    try {
      await work();
    } catch (error) {
      if (error instanceof BatchRemovedError || error instanceof BatchNotFoundError) {
        await this.#stream.send("removed", this.#watched.scope);
        this.#hasEnded = true;
      } else if (error instanceof StoreUnavailableError) {
        this.#isStoreAway = true;
        this.#planLook(this.#times.lookMinMs);
      } else {
        throw error;
      }
    }
  }

  #planLook(afterMs: number): void {
    this.#lookAt = performance.now() + afterMs;
  }

  /** Until something is heard or due. A quiet client is sent where it stands, so that it need not begin anew later. */
  async #rest(): Promise<void> {
    const { heartbeatMs } = this.#times;
    if (this.#stream.idleMs >= heartbeatMs) {
      const cursor = this.#taken.length === 0 ? this.#subscription?.outbox.cursor : undefined;
      await this.#stream.comment("alive", cursor && textOfCursor(cursor));
      return;
    }
    const now = performance.now();
    const due = [this.#lookAt, now + heartbeatMs - this.#stream.idleMs];
    if (this.#progress.size > 0) due.push(this.#progressAt);
    if (this.#doneAt !== null && !this.#isStoreAway) due.push(this.#doneAt);
    await this.#wakeUp.rest(Math.min(...due) - now, this.#stream.closed);
  }
}
