import { LRUCache } from "lru-cache";
import { type JobEvent } from "../job/job.ts";
import { type FeedPage } from "../ports/event-store.ts";

/** Where a subscriber stands. It can be written down, and another outbox can go on from there. */
export interface FeedCursor {
  /** The subscriber has received every event up to this position … */
  position: bigint;
  /** … and, of these jobs, also the events that had no position yet, up to these sequences. */
  ahead: ReadonlyMap<string, number>;
}

/** What one outbox reads from the database. Both methods throw `StoreUnavailableError` when it cannot be reached. */
export interface Backlog {
  /** The events of one job after a sequence: those after a position, and those that have none yet. Oldest first. */
  listUnread(
    of: { jobId: string; afterSequence: number; afterPosition: bigint },
    limit: number,
  ): Promise<JobEvent[]>;
  /**
   * All events after a position. `null`: the outbox is for the jobs of the cursor only. Their sequences have no gaps, so that
   * positions are not needed.
   * @throws CursorTooOldError  @throws CursorFromTheFutureError
   */
  listPlaced: ((after: bigint, limit: number) => Promise<FeedPage>) | null;
}

export interface OutboxOptions {
  backlog: Backlog;
  cursor: FeedCursor;
  /** `take` may have something to give. */
  onNews: () => void;
  /** Live events and pages that wait to be taken. What is more is read from the database later. */
  newsMax?: number;
  /** Jobs whose events were delivered before their positions were known. */
  aheadMax?: number;
}

interface PlacedNews extends FeedPage {
  after: bigint;
}

type News = { live: JobEvent } | { placed: PlacedNews };

/** What was read and is about to be delivered, unless the subscriber has it already. */
type Step = { event: JobEvent; position: bigint | null } | { upTo: bigint };

const pageSize = 200;
const newsDefaultMax = 100;
const aheadDefaultMax = 1_000;
/** Further jobs of which the outbox remembers the last delivered sequence. This saves a statement for each of their live events. */
const deliveredMax = 1_000;

/**
 * Delivers the events of one subscriber: each exactly once, and those of one job in the order of their sequence.
 *
 * It first reads what follows the cursor from the database, and then delivers live events at once. A live event has no
 * position; the outbox remembers it (`ahead`), and drops the copy that comes with a position later. When live events were
 * missed, or there is no room to keep them, they come from the database: an event is late then, and never lost.
 */
export class Outbox {
  readonly #backlog: Backlog;
  readonly #onNews: () => void;
  readonly #newsMax: number;
  readonly #aheadMax: number;
  /** For each job with delivered events that had no position: the last delivered sequence. */
  readonly #ahead: Map<string, number>;
  /** The same for other jobs, as far as it is remembered. */
  readonly #delivered = new LRUCache<string, number>({ max: deliveredMax });
  #position: bigint;
  #news: News[] = [];
  #steps: Step[] = [];
  #isBehind = true;

  /** @param options.cursor the outbox begins with the events after it */
  constructor(options: OutboxOptions) {
    this.#backlog = options.backlog;
    this.#onNews = options.onNews;
    this.#newsMax = options.newsMax ?? newsDefaultMax;
    this.#aheadMax = options.aheadMax ?? aheadDefaultMax;
    this.#ahead = new Map(options.cursor.ahead);
    this.#position = options.cursor.position;
  }

  /** Where the subscriber stands: the next event that is taken comes after this. */
  get cursor(): FeedCursor {
    return { position: this.#position, ahead: new Map(this.#ahead) };
  }

  /** The last sequence of the job that was delivered, if that is remembered. */
  sequenceOf(jobId: string): number | undefined {
    return this.#ahead.get(jobId) ?? this.#delivered.get(jobId);
  }

  /** Whether `take` may have something to give. */
  get hasNews(): boolean {
    return this.#isBehind || this.#news.length > 0 || this.#steps.length > 0;
  }

  /** An event was told live, in any order and perhaps twice. It must have been committed. */
  noteLive(event: JobEvent): void {
    this.#note({ live: event });
  }

  /** All events between two positions. */
  notePlaced(placed: PlacedNews): void {
    this.#note({ placed });
  }

  /** Live events may have been missed: read on from the database. */
  lookAgain(): void {
    this.#isBehind = true;
    this.#onNews();
  }

  /**
   * The next event; `null` = there is none for now. Not to be called again before it has answered. After an error, the next
   * call goes on from the same place.
   * @throws StoreUnavailableError  @throws CursorTooOldError  @throws CursorFromTheFutureError
   */
  async take(): Promise<JobEvent | null> {
    for (;;) {
      const step = this.#steps.shift();
      if (step !== undefined) {
        const event = this.#pass(step);
        if (event !== null) return event;
      } else if (this.#isBehind) {
        await this.#readOn();
      } else {
        const news = this.#news.shift();
        if (news === undefined) return null;
        await this.#open(news);
      }
    }
  }

  #note(news: News): void {
    if (this.#news.length >= this.#newsMax) {
      this.#news = [];
      this.#isBehind = true;
    } else {
      this.#news.push(news);
    }
    this.#onNews();
  }

  /** One page from the database. */
  async #readOn(): Promise<void> {
    this.#isBehind = false;
    try {
      if (this.#backlog.listPlaced === null) await this.#readOnJobs();
      else await this.#readOnPositions(this.#backlog.listPlaced);
    } catch (error) {
      this.#isBehind = true;
      throw error;
    }
  }

  async #readOnPositions(listPlaced: NonNullable<Backlog["listPlaced"]>): Promise<void> {
    const page = await listPlaced(this.#position, pageSize);
    if (page.events.length >= pageSize) this.#isBehind = true;
    this.#steps.push(...stepsOf(page));
  }

  async #readOnJobs(): Promise<void> {
    for (const jobId of this.#ahead.keys()) {
      const events = await this.#listUnread(jobId);
      if (events.length >= pageSize) this.#isBehind = true;
      this.#steps.push(...events.map((event) => ({ event, position: null })));
    }
  }

  async #open(news: News): Promise<void> {
    if ("placed" in news) {
      const { placed } = news;
      // A page is missing in between.
      if (placed.after > this.#position) this.#isBehind = true;
      else this.#steps.push(...stepsOf(placed));
      return;
    }
    try {
      this.#steps.push(...(await this.#stepsOfLive(news.live)));
    } catch (error) {
      this.#news.unshift(news);
      throw error;
    }
  }

  /** The event itself if it is the next one of its job; otherwise what the database says that comes next. */
  async #stepsOfLive(event: JobEvent): Promise<Step[]> {
    const { jobId, sequence } = event;
    const last = this.sequenceOf(jobId);
    if (last !== undefined && sequence <= last) return [];
    if (!this.#ahead.has(jobId) && !(await this.#hasRoom())) return [];
    if (last !== undefined && sequence === last + 1) return [{ event, position: null }];
    const events = await this.#listUnread(jobId);
    return events.map((unread) => ({ event: unread, position: null }));
  }

  /**
   * Whether one more job may be delivered ahead of its positions; if not, its events come with their positions. Jobs that were
   * removed meanwhile never get any, and are forgotten here.
   */
  async #hasRoom(): Promise<boolean> {
    while (this.#ahead.size >= this.#aheadMax) {
      const [oldest] = this.#ahead.keys();
      if (oldest === undefined) return false;
      const of = { jobId: oldest, afterSequence: 0, afterPosition: this.#position };
      if ((await this.#backlog.listUnread(of, 1)).length > 0) return false;
      this.#ahead.delete(oldest);
    }
    return true;
  }

  #listUnread(jobId: string): Promise<JobEvent[]> {
    const of = { jobId, afterSequence: this.sequenceOf(jobId) ?? 0, afterPosition: this.#position };
    return this.#backlog.listUnread(of, pageSize);
  }

  /** Moves the cursor over a step. @returns the event, unless it was delivered before */
  #pass(step: Step): JobEvent | null {
    if ("upTo" in step) {
      this.#moveTo(step.upTo);
      return null;
    }
    const { event, position } = step;
    const { jobId, sequence } = event;
    const last = this.sequenceOf(jobId) ?? 0;
    if (position === null) {
      if (sequence <= last) return null;
      this.#delivered.delete(jobId);
      this.#ahead.set(jobId, sequence);
      return event;
    }
    // The copy of an event that this outbox has passed already: a page that overlaps with what was read.
    if (position <= this.#position) return null;
    this.#moveTo(position);
    if (sequence < last) return null;
    this.#ahead.delete(jobId);
    this.#delivered.set(jobId, sequence);
    return sequence === last ? null : event;
  }

  #moveTo(position: bigint): void {
    if (position > this.#position) this.#position = position;
  }
}

function stepsOf({ events, upTo }: FeedPage): Step[] {
  return [...events.map(({ event, position }) => ({ event, position })), { upTo }];
}
