import { type JobSignal, type Signals } from "@genga/jobs";

/** What a watcher is told: a signal, or that signals may have been missed. */
export type FeedMessage = JobSignal | "look-again";
type Listener = (message: FeedMessage) => void;
export type LiveProgress = Extract<JobSignal, { kind: "progress" }>;

/** Jobs whose last live progress is remembered. */
const progressMax = 10_000;

/**
 * One subscription of this process, handed to those who watch the job that it is about. Remembers the progress of every
 * running job, which is ahead of the database by up to half a second: who comes back must not see it fall.
 */
export class JobFeed {
  readonly #watchers = new Map<string, Set<Listener>>();
  /** The job told of longest ago comes first. */
  readonly #progress = new Map<string, LiveProgress>();

  constructor(signals: Signals) {
    // While Redis is away this stays pending; watchers look into the database by themselves meanwhile.
    void signals.subscribe(
      "job",
      (signal) => {
        this.#remember(signal);
        for (const listener of this.#watchers.get(signal.jobId) ?? []) listener(signal);
      },
      () => {
        for (const listeners of this.#watchers.values()) {
          for (const listener of listeners) listener("look-again");
        }
      },
    );
  }

  /** How many watch. */
  get size(): number {
    let size = 0;
    for (const listeners of this.#watchers.values()) size += listeners.size;
    return size;
  }

  /** The furthest progress that was told of the job's latest attempt, if it may still be going on. */
  progressOf(jobId: string): LiveProgress | undefined {
    return this.#progress.get(jobId);
  }

  /** Call what it returns to end the watch. */
  watch(jobId: string, listener: Listener): () => void {
    const listeners = this.#watchers.get(jobId) ?? new Set();
    this.#watchers.set(jobId, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#watchers.delete(jobId);
    };
  }

  #remember(signal: JobSignal): void {
    const { jobId } = signal;
    const known = this.#progress.get(jobId);
    if (signal.kind === "event") {
      if (signal.status !== "processing") this.#progress.delete(jobId);
      return;
    }
    this.#progress.delete(jobId);
    this.#progress.set(jobId, known === undefined ? signal : laterOf(signal, known));
    const [oldest] = this.#progress.keys();
    if (this.#progress.size > progressMax && oldest !== undefined) this.#progress.delete(oldest);
  }
}

type Told = Pick<LiveProgress, "attempt" | "progress">;

/** What was told later may still be older; at the same percent it may be another node. */
export function laterOf<Progress extends Told>(told: Progress, known: Progress | undefined): Progress {
  if (known === undefined || told.attempt > known.attempt) return told;
  return told.attempt === known.attempt && told.progress.percent >= known.progress.percent ? told : known;
}
