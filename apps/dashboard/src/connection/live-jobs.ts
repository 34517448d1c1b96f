import { type Job } from "@genga/client";
import { useSyncExternalStore } from "react";

/** What a stream said of a running job since it was last read. */
export type LiveState = Pick<Job, "attempt" | "phase" | "progress">;

type Listener = () => void;

/**
 * The progress of all running jobs, outside of React: fifty jobs that report ten times a second change only the rows
 * that show them, and each at most once a frame.
 */
class LiveJobs {
  readonly #states = new Map<string, LiveState>();
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #changed = new Set<string>();
  #frame: number | undefined;

  set(jobId: string, state: LiveState): void {
    this.#states.set(jobId, state);
    this.#note(jobId);
  }

  /** The job has ended, or is read anew. */
  forget(jobId: string): void {
    if (this.#states.delete(jobId)) this.#note(jobId);
  }

  clear(): void {
    for (const jobId of this.#states.keys()) this.#changed.add(jobId);
    this.#states.clear();
    this.#plan();
  }

  get(jobId: string): LiveState | undefined {
    return this.#states.get(jobId);
  }

  subscribe(jobId: string, listener: Listener): () => void {
    const ofJob = this.#listeners.get(jobId) ?? new Set();
    this.#listeners.set(jobId, ofJob.add(listener));
    return () => {
      ofJob.delete(listener);
      if (ofJob.size === 0) this.#listeners.delete(jobId);
    };
  }

  #note(jobId: string): void {
    if (!this.#listeners.has(jobId)) return;
    this.#changed.add(jobId);
    this.#plan();
  }

  #plan(): void {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = undefined;
      const changed = [...this.#changed];
      this.#changed.clear();
      for (const jobId of changed) for (const listener of this.#listeners.get(jobId) ?? []) listener();
    });
  }
}

export const liveJobs = new LiveJobs();

/** How far the job is now: what the stream said last, or what was read of it if that is newer. */
export function useLive(job: LiveState & Pick<Job, "id" | "status">): LiveState {
  const live = useSyncExternalStore(
    (listener) => liveJobs.subscribe(job.id, listener),
    () => liveJobs.get(job.id),
  );
  if (live === undefined || live.attempt < job.attempt || job.status !== "processing") return job;
  // Of the same attempt the percentage never falls.
  return live.attempt === job.attempt && live.progress.percent < job.progress.percent ? job : live;
}
