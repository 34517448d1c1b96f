import {
  isTerminal,
  JobNotFoundError,
  JobRemovedError,
  laterOf,
  StoreUnavailableError,
  type EventFeed,
  type Job,
  type JobEvent,
  type LiveProgress,
  type PreviewNote,
  type Subscription,
} from "@genga/jobs";
import { type EventStream } from "../http/event-stream.ts";
import { type EventView } from "./job-view.ts";
import { type WatchedPreviews } from "./preview-view.ts";
import { WakeUp } from "./wake-up.ts";

export interface WatchTimes {
  /** When nothing was sent for so long, a comment is sent. */
  heartbeatMs: number;
  /** The database is asked again after so long, as long as it has news that no signal told … */
  lookMinMs: number;
  /** … and after up to so long while signals tell everything. */
  lookMaxMs: number;
}

/** Where a job is told of: a stream of ours, or what says the same in other words. */
export type JobStream = Pick<EventStream, "send" | "sendJson" | "comment" | "idleMs" | "closed" | "end">;

export interface WatchedJob {
  /** As it was found. */
  job: Job;
  /** The job as it is now. */
  read(): Promise<Job>;
  /** Its events after a sequence, oldest first. */
  listEvents(afterSequence: number, limit: number): Promise<JobEvent[]>;
  /** What a watcher is shown first. */
  snapshotOf(job: Job): Promise<unknown>;
  /** Absent: this watcher does not want to hear of previews. */
  previews?: WatchedPreviews;
  /** An event as this watcher may see it. */
  viewOfEvent(event: JobEvent): Promise<EventView>;
}

type Progress = Pick<LiveProgress, "attempt" | "phase" | "progress">;

/**
 * Tells a stream everything that happens to a job, until it has ended: a snapshot, the events after `lastSequence`, then
 * live. The outbox delivers each event exactly once and in order. Progress between events may be skipped for a slow reader,
 * and never falls within an attempt.
 */
export async function watchJob(
  stream: JobStream,
  feed: EventFeed,
  watched: WatchedJob,
  options: { lastSequence: number | null; times: WatchTimes },
): Promise<void> {
  const watch = new JobWatch(stream, feed, watched, options);
  try {
    await watch.run();
  } finally {
    watch.end();
    stream.end();
  }
}

class JobWatch {
  readonly #stream: JobStream;
  readonly #watched: WatchedJob;
  readonly #times: WatchTimes;
  /** The job as the watcher is shown it first. */
  readonly #job: Job;
  /** Events between the one that the watcher received last and the snapshot. */
  readonly #hasMissed: boolean;
  readonly #subscription: Subscription;
  readonly #endPreviews: (() => void) | undefined;
  #preview: PreviewNote | undefined;
  #progress: Progress | undefined;
  /** When the next progress would be due if it came evenly. */
  #progressDueAt = 0;
  /** When a signal last told of progress. */
  #heardAt = Number.NEGATIVE_INFINITY;
  #sentProgress: Progress | undefined;
  #endedAttempt = -1;
  /** Taken from the outbox, and not sent yet: what it says could not be read. */
  #unsent: JobEvent | null = null;
  #hasEnded = false;
  #isStoreAway = false;
  #lookAt = 0;
  #lookEveryMs: number;
  readonly #wakeUp = new WakeUp();

  constructor(
    stream: JobStream,
    feed: EventFeed,
    watched: WatchedJob,
    { lastSequence, times }: { lastSequence: number | null; times: WatchTimes },
  ) {
    this.#stream = stream;
    this.#watched = watched;
    this.#times = times;
    this.#lookEveryMs = times.lookMinMs;
    this.#endPreviews = watched.previews?.watch((note) => {
      this.#preview = note;
      this.#wakeUp.wake();
    });
    this.#job = withLiveProgress(watched.job, feed.progressOf(watched.job.id));
    const { id, eventSequence } = watched.job;
    const isResumed = lastSequence !== null && lastSequence <= eventSequence;
    this.#hasMissed = isResumed && lastSequence < eventSequence;
    this.#subscription = feed.watchJob(id, {
      afterSequence: isResumed ? lastSequence : eventSequence,
      listEvents: (after, limit) => watched.listEvents(after, limit),
      onNews: () => {
        this.#wakeUp.wake();
      },
      onProgress: (progress) => {
        this.#heardAt = performance.now();
        this.#progress = laterOf(progress, this.#progress);
        this.#wakeUp.wake();
      },
      onMissed: () => {
        this.#lookAt = 0;
        this.#wakeUp.wake();
      },
    });
  }

  end(): void {
    this.#subscription.end();
    this.#endPreviews?.();
  }

  async run(): Promise<void> {
    await this.#start();
    const { outbox } = this.#subscription;
    while (!this.#hasEnded && !this.#stream.closed.aborted) {
      const now = performance.now();
      if (now >= this.#lookAt) await this.#look();
      else if ((outbox.hasNews || this.#unsent !== null) && !this.#isStoreAway) await this.#sendEvents();
      else if (this.#progress !== undefined && now >= this.#progressDueAt - progressEveryMs)
        await this.#sendProgress();
      else if (this.#preview !== undefined) await this.#sendPreview(this.#preview);
      else if (this.#stream.idleMs >= this.#times.heartbeatMs) await this.#stream.comment("alive");
      else await this.#rest();
    }
  }

  async #start(): Promise<void> {
    const { eventSequence, status } = this.#job;
    const snapshot = await this.#watched.snapshotOf(this.#job);
    // An id here would claim that the missed events, which follow, were received.
    await this.#stream.send("snapshot", snapshot, this.#hasMissed ? undefined : eventSequence);
    this.#sentProgress = progressOf(this.#job);
    this.#hasEnded = !this.#hasMissed && isTerminal(status);
    this.#planLook(this.#times.lookMaxMs);
  }

  /** Asks the database for events and progress that no signal told, and whether the job was removed. */
  async #look(): Promise<void> {
    await this.#whileStoreAnswers(async () => {
      const job = await this.#watched.read();
      const { outbox } = this.#subscription;
      let isNews = job.eventSequence > (outbox.sequenceOf(job.id) ?? 0);
      if (isNews) outbox.lookAgain();
      const progress = progressOf(job);
      if (progress !== undefined && this.#isForward(progress) && !this.#isOlderThanHeard(progress)) {
        isNews = true;
        this.#progress = laterOf(progress, this.#progress);
      }
      this.#planLook(isNews ? this.#times.lookMinMs : this.#lookEveryMs * 2);
    });
  }

  /** All that there are. A job that has ended and was retried has not ended. */
  async #sendEvents(): Promise<void> {
    await this.#whileStoreAnswers(async () => {
      const { outbox } = this.#subscription;
      for (;;) {
        this.#unsent ??= await outbox.take();
        if (this.#unsent === null) return;
        await this.#sendEvent(this.#unsent);
        this.#unsent = null;
        if (this.#stream.closed.aborted) return;
      }
    });
  }

  async #sendEvent(event: JobEvent): Promise<void> {
    await this.#stream.send("event", await this.#watched.viewOfEvent(event), event.sequence);
    this.#hasEnded = endings.has(event.type);
    if (this.#hasEnded || event.type === "requeued") this.#endedAttempt = event.attempt;
  }

  /** While the database is away, it is asked again at intervals, and progress is still told. */
  async #whileStoreAnswers(work: () => Promise<void>): Promise<void> {
    this.#isStoreAway = false;
    try {
      await work();
    } catch (error) {
      if (error instanceof JobRemovedError || error instanceof JobNotFoundError) {
        await this.#stream.send("removed", { jobId: this.#job.id });
        this.#hasEnded = true;
      } else if (error instanceof StoreUnavailableError) {
        this.#isStoreAway = true;
        this.#planLook(this.#times.lookMinMs);
      } else {
        throw error;
      }
    }
  }

  async #sendProgress(): Promise<void> {
    const progress = this.#progress;
    this.#progress = undefined;
    if (progress === undefined || !this.#isForward(progress)) return;
    this.#sentProgress = progress;
    this.#progressDueAt = Math.max(performance.now(), this.#progressDueAt) + progressEveryMs;
    await this.#stream.sendJson("progress", jsonOf(this.#job.id, progress));
  }

  async #sendPreview(note: PreviewNote): Promise<void> {
    this.#preview = undefined;
    const { previews } = this.#watched;
    if (previews !== undefined && note.attempt > this.#endedAttempt)
      await this.#stream.send("preview", previews.viewOf(note));
  }

  #isForward(next: Progress): boolean {
    if (next.attempt <= this.#endedAttempt) return false;
    const sent = this.#sentProgress;
    if (sent === undefined || next.attempt > sent.attempt) return true;
    if (next.attempt < sent.attempt || next.progress.percent < sent.progress.percent) return false;
    return Object.entries(next.progress).some(([key, value]) => Reflect.get(sent.progress, key) !== value);
  }

  /** The database is up to half a second behind what signals tell, which shows where the percentage stays the same. */
  #isOlderThanHeard({ attempt, progress }: Progress): boolean {
    const heard = this.#progress ?? this.#sentProgress;
    return (
      performance.now() - this.#heardAt < databaseBehindMs &&
      heard?.attempt === attempt &&
      heard.progress.percent === progress.percent
    );
  }

  #planLook(afterMs: number): void {
    this.#lookEveryMs = Math.min(afterMs, this.#times.lookMaxMs);
    // Thousands of watchers that came together after a restart must not look together for ever.
    this.#lookAt = performance.now() + this.#lookEveryMs * (0.75 + Math.random() / 4);
  }

  /** Until something is heard or due, or the reader is gone. */
  async #rest(): Promise<void> {
    const now = performance.now();
    const due = [this.#lookAt, now + this.#times.heartbeatMs - this.#stream.idleMs];
    if (this.#progress !== undefined) due.push(this.#progressDueAt - progressEveryMs);
    await this.#wakeUp.rest(Math.min(...due) - now, this.#stream.closed);
  }
}

/** Between two messages about the progress of one job, on average. */
export const progressEveryMs = 100;

/** Twice the time after which a worker writes progress down. */
const databaseBehindMs = 1_000;

/** The events that end a job; a retry may follow. */
export const endings: ReadonlySet<string> = new Set(["completed", "failed", "timeout", "cancelled"]);

/** What watchers are told of the same report of progress: it is written once for all of them. */
const told = new WeakMap<Progress["progress"], string>();

function jsonOf(jobId: string, { attempt, phase, progress }: Progress): string {
  const known = told.get(progress);
  if (known !== undefined) return known;
  const json = JSON.stringify({ jobId, attempt, phase, progress });
  told.set(progress, json);
  return json;
}

function progressOf(job: Job): Progress | undefined {
  return job.status === "processing" && job.phase !== null
    ? { attempt: job.attempt, phase: job.phase, progress: job.progress }
    : undefined;
}

/** A reader who comes back has perhaps seen more than the database knows yet. */
function withLiveProgress(job: Job, live: LiveProgress | undefined): Job {
  if (live === undefined || job.status !== "processing" || live.attempt !== job.attempt) return job;
  return live.progress.percent > job.progress.percent ? { ...job, progress: live.progress } : job;
}
