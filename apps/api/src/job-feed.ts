import { type JobSignal, type Signals } from "@genga/jobs";

/** What a watcher is told: a signal, or that signals may have been missed. */
export type FeedMessage = JobSignal | "look-again";
type Listener = (message: FeedMessage) => void;

/** One subscription of this process, handed to those who watch the job that it is about. */
export class JobFeed {
  readonly #watchers = new Map<string, Set<Listener>>();

  constructor(signals: Signals) {
    // While Redis is away this stays pending; watchers look into the database by themselves meanwhile.
    void signals.subscribe(
      "job",
      (signal) => {
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

  /** Call what it returns to end the watch. */
  watch(jobId: string, listener: Listener): () => void {
    const listeners = this.#watchers.get(jobId) ?? new Set();
    this.#watchers.set(jobId, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#watchers.delete(jobId);
    };
  }
}
