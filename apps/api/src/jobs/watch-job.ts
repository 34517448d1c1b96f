import {
  isTerminal,
  JobNotFoundError,
  JobRemovedError,
  StoreUnavailableError,
  type Job,
  type JobEvent,
  type JobSignal,
} from "@genga/jobs";
import { type EventStream } from "../http/event-stream.ts";
import { laterOf, type FeedMessage, type JobFeed, type LiveProgress } from "./job-feed.ts";
import { type EventView } from "./job-view.ts";

export interface WatchTimes {
  /** Nothing sent for so long: a comment is. */
  heartbeatMs: number;
  /** Looks into the database follow each other by this as long as they find what no signal had told … */
  lookMinMs: number;
  /** … and by up to this while signals tell everything. */
  lookMaxMs: number;
}

export interface WatchedJob {
  id: string;
  /** The job as it is now. */
  read(): Promise<Job>;
  /** Its events after a sequence, oldest first. */
  listEvents(afterSequence: number, limit: number): Promise<JobEvent[]>;
  /** What a watcher is shown first. */
  snapshotOf(job: Job): Promise<unknown>;
  /** An event as this watcher may see it. */
  viewOfEvent(event: JobEvent | LiveEvent): Promise<EventView>;
}

type Progress = Pick<LiveProgress, "attempt" | "phase" | "progress">;
type LiveEvent = Extract<JobSignal, { kind: "event" }>["event"];

const liveEventsMax = 100;
const pageSize = 200;

/**
 * Tells a stream everything that happens to a job, until it has ended: a snapshot, the events after
 * `lastSequence`, then live. Events are never skipped and never repeated: signals only say that there is something,
 * and a gap in their sequence leads to a look into the database. Progress in between may be skipped for a slow
 * reader, and never falls within an attempt.
 */
export async function watchJob(
  stream: EventStream,
  feed: JobFeed,
  watched: WatchedJob,
  options: { lastSequence: number | null; times: WatchTimes },
): Promise<void> {
  const watch = new JobWatch(stream, feed, watched, options.times);
  const unwatch = feed.watch(watched.id, (message) => {
    watch.note(message);
  });
  try {
    await watch.run(options.lastSequence);
  } finally {
    unwatch();
    stream.end();
  }
}

class JobWatch {
  readonly #stream: EventStream;
  readonly #feed: JobFeed;
  readonly #watched: WatchedJob;
  readonly #times: WatchTimes;
  #live: LiveEvent[] = [];
  #progress: Progress | undefined;
  #sentProgress: Progress | undefined;
  #endedAttempt = -1;
  #lastSequence = 0;
  #hasEnded = false;
  #lookAt = 0;
  #lookEveryMs: number;
  #wake: () => void = () => undefined;

  constructor(stream: EventStream, feed: JobFeed, watched: WatchedJob, times: WatchTimes) {
    this.#stream = stream;
    this.#feed = feed;
    this.#watched = watched;
    this.#times = times;
    this.#lookEveryMs = times.lookMinMs;
  }

  /** Something was heard; what does not fit in memory is left to the next look. */
  note(message: FeedMessage): void {
    if (message === "look-again" || this.#live.length >= liveEventsMax) {
      this.#live = [];
      this.#lookAt = 0;
    } else if (message.kind === "event") {
      this.#live.push(message.event);
    } else {
      this.#progress = laterOf(message, this.#progress);
    }
    this.#wake();
  }

  async run(lastSequence: number | null): Promise<void> {
    await this.#start(lastSequence);
    while (!this.#hasEnded && !this.#stream.closed.aborted) {
      if (performance.now() >= this.#lookAt) await this.#look();
      else if (this.#live.length > 0) await this.#sendLive();
      else if (this.#progress !== undefined) await this.#sendProgress();
      else if (this.#stream.idleMs >= this.#times.heartbeatMs) await this.#stream.comment("alive");
      else await this.#sleep();
    }
  }

  async #start(lastSequence: number | null): Promise<void> {
    const job = this.#withLiveProgress(await this.#watched.read());
    const isResumed = lastSequence !== null && lastSequence <= job.eventSequence;
    const hasMissed = isResumed && lastSequence < job.eventSequence;
    // An id here would claim that the missed events, which follow, were received.
    await this.#stream.send(
      "snapshot",
      await this.#watched.snapshotOf(job),
      hasMissed ? undefined : job.eventSequence,
    );
    this.#lastSequence = isResumed ? lastSequence : job.eventSequence;
    this.#sentProgress = progressOf(job);
    if (hasMissed) await this.#sendStored();
    else this.#hasEnded = isTerminal(job.status);
    this.#planLook(this.#times.lookMaxMs);
  }

  /** A reader who comes back has perhaps seen more than the database knows yet. */
  #withLiveProgress(job: Job): Job {
    const live = this.#feed.progressOf(job.id);
    if (live === undefined || job.status !== "processing" || live.attempt !== job.attempt) return job;
    return live.progress.percent > job.progress.percent ? { ...job, progress: live.progress } : job;
  }

  /** Events and progress as the database has them. */
  async #look(): Promise<void> {
    try {
      const job = await this.#watched.read();
      let isNews = job.eventSequence > this.#lastSequence;
      if (isNews) await this.#sendStored();
      const progress = progressOf(job);
      if (progress !== undefined && this.#isForward(progress)) {
        isNews = true;
        this.#progress = laterOf(progress, this.#progress);
      }
      this.#planLook(isNews ? this.#times.lookMinMs : this.#lookEveryMs * 2);
    } catch (error) {
      if (error instanceof JobRemovedError || error instanceof JobNotFoundError) {
        await this.#stream.send("removed", { jobId: this.#watched.id });
        this.#hasEnded = true;
      } else if (error instanceof StoreUnavailableError) {
        this.#planLook(this.#times.lookMinMs);
      } else {
        throw error;
      }
    }
  }

  async #sendStored(): Promise<void> {
    for (;;) {
      const events = await this.#watched.listEvents(this.#lastSequence, pageSize);
      for (const event of events) await this.#sendEvent(event);
      if (events.length < pageSize || this.#stream.closed.aborted) return;
    }
  }

  async #sendLive(): Promise<void> {
    const event = this.#live.shift();
    if (event === undefined || event.sequence <= this.#lastSequence) return;
    if (event.sequence === this.#lastSequence + 1) await this.#sendEvent(event);
    else await this.#look();
  }

  async #sendEvent(event: JobEvent | LiveEvent): Promise<void> {
    await this.#stream.send("event", await this.#watched.viewOfEvent(event), event.sequence);
    this.#lastSequence = event.sequence;
    this.#hasEnded = endings.has(event.type);
    if (this.#hasEnded || event.type === "requeued") this.#endedAttempt = event.attempt;
  }

  async #sendProgress(): Promise<void> {
    const progress = this.#progress;
    this.#progress = undefined;
    if (progress === undefined || !this.#isForward(progress)) return;
    this.#sentProgress = progress;
    const { attempt, phase, progress: value } = progress;
    await this.#stream.send("progress", { jobId: this.#watched.id, attempt, phase, progress: value });
  }

  #isForward(next: Progress): boolean {
    if (next.attempt <= this.#endedAttempt) return false;
    const sent = this.#sentProgress;
    if (sent === undefined || next.attempt > sent.attempt) return true;
    if (next.attempt < sent.attempt || next.progress.percent < sent.progress.percent) return false;
    return JSON.stringify(next.progress) !== JSON.stringify(sent.progress);
  }

  #planLook(afterMs: number): void {
    this.#lookEveryMs = Math.min(afterMs, this.#times.lookMaxMs);
    this.#lookAt = performance.now() + this.#lookEveryMs;
  }

  /** Until something is heard, the next look or heartbeat is due, or the reader is gone. */
  async #sleep(): Promise<void> {
    const dueMs = Math.min(this.#lookAt - performance.now(), this.#times.heartbeatMs - this.#stream.idleMs);
    const { closed } = this.#stream;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(wake, Math.max(1, dueMs));
      this.#wake = wake;
      closed.addEventListener("abort", wake, { once: true });
      function wake(): void {
        clearTimeout(timer);
        closed.removeEventListener("abort", wake);
        resolve();
      }
    });
  }
}

const endings: ReadonlySet<string> = new Set(["completed", "failed", "timeout", "cancelled"]);

function progressOf(job: Job): Progress | undefined {
  return job.status === "processing" && job.phase !== null
    ? { attempt: job.attempt, phase: job.phase, progress: job.progress }
    : undefined;
}
