import { LRUCache } from "lru-cache";
import { type JobSignal } from "../ports/signals.ts";

export type LiveProgress = Extract<JobSignal, { kind: "progress" }>;

/** Jobs whose last live progress is remembered. */
const progressMax = 10_000;

/**
 * The progress of every running job as it was last told live. It is ahead of the database by up to half a second: a watcher
 * who comes back must not see it fall.
 */
export class ProgressMemory {
  readonly #progress = new LRUCache<string, LiveProgress>({ max: progressMax });

  note(signal: JobSignal): void {
    if (signal.kind !== "progress") return;
    this.#progress.set(signal.jobId, laterOf(signal, this.#progress.get(signal.jobId)));
  }

  /**
   * The furthest progress that was told of the job's latest attempt, which may have ended since: a job that was read just
   * before its end must not be shown further back than it was.
   */
  progressOf(jobId: string): LiveProgress | undefined {
    return this.#progress.get(jobId);
  }
}

type Told = Pick<LiveProgress, "attempt" | "progress">;

/** A report that was told later may still be older. At the same percentage it may be of another node. */
export function laterOf<Progress extends Told>(told: Progress, known: Progress | undefined): Progress {
  if (known === undefined || told.attempt > known.attempt) return told;
  return told.attempt === known.attempt && told.progress.percent >= known.progress.percent ? told : known;
}
