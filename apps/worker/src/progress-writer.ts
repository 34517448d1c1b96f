import {
  type AttemptRecorder,
  type JobPhase,
  type JobProgress,
  type Signals,
  type TicketQueue,
} from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { Coalescer } from "./coalescer.ts";
import { type Run } from "./run.ts";

/** How often a job's progress is told live; people do not see more. */
const liveIntervalMs = 200;

export interface ProgressWriterOptions {
  recorder: AttemptRecorder;
  tickets: TicketQueue;
  signals: Signals;
  log: Logger;
  /** One statement at most this often, for all jobs together. */
  flushIntervalMs: number;
}

interface Pending {
  run: Run;
  phase: JobPhase;
  progress: JobProgress;
}

/**
 * Brings progress to PostgreSQL (coalesced: one set-based statement per interval for all running jobs), to watchers
 * (live, a few times a second for each job) and to Bull Board.
 */
export class ProgressWriter {
  readonly #options: ProgressWriterOptions;
  readonly #pending = new Map<string, Pending>();
  readonly #lastLiveAt = new WeakMap<Run, number>();
  readonly #flusher = new Coalescer(() => this.#flush());
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;

  constructor(options: ProgressWriterOptions) {
    this.#options = options;
  }

  /** Takes note; returns at once. */
  report(run: Run, phase: JobPhase, progress: JobProgress): void {
    const before = this.#pending.get(run.jobId);
    this.#pending.set(run.jobId, { run, phase, progress });
    run.progress = progress;
    this.#flushSoon();
    this.#tellLive(run, phase, progress, before?.phase !== phase);
  }

  /** Writes what is pending for this job now, so that an end never overtakes what came before it. */
  async settle(run: Run): Promise<void> {
    if (this.#pending.get(run.jobId)?.run === run) await this.#flusher.trigger();
  }

  /** Forgets a run that ended or was lost. */
  forget(run: Run): void {
    if (this.#pending.get(run.jobId)?.run === run) this.#pending.delete(run.jobId);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#flusher.trigger();
  }

  #flushSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      void this.#flusher.trigger();
    }, this.#options.flushIntervalMs);
  }

  async #flush(): Promise<void> {
    const batch = [...this.#pending.values()];
    this.#pending.clear();
    try {
      await this.#options.recorder.recordProgress(
        batch.map(({ run, phase, progress }) => ({
          jobId: run.jobId,
          attempt: run.leased.attempt,
          leaseNumber: run.leased.leaseNumber,
          batchId: run.leased.job.batchId,
          phase,
          progress,
        })),
      );
    } catch (error) {
      // Newer reports follow, and the end of the job is written by itself: only what nobody replaced is kept.
      for (const entry of batch) {
        if (!this.#pending.has(entry.run.jobId) && !entry.run.stopSignal.aborted) {
          this.#pending.set(entry.run.jobId, entry);
        }
      }
      if (this.#pending.size > 0 && !this.#isClosed) this.#flushSoon();
      this.#options.log.warn({ err: error, jobs: batch.length }, "progress could not be written and is kept");
    }
  }

  #tellLive(run: Run, phase: JobPhase, progress: JobProgress, isNewPhase: boolean): void {
    const now = performance.now();
    if (!isNewPhase && now - (this.#lastLiveAt.get(run) ?? Number.NEGATIVE_INFINITY) < liveIntervalMs) return;
    this.#lastLiveAt.set(run, now);
    const { jobId, attempt, job } = run.leased;
    this.#options.signals.publish("job", {
      kind: "progress",
      jobId,
      batchId: job.batchId,
      attempt,
      phase,
      progress,
    });
    if (run.ticket !== null) {
      const where = progress.nodeTitle ?? phase;
      const step = progress.steps === null ? "" : ` ${progress.step ?? 0}/${progress.steps}`;
      this.#options.tickets.report(run.ticket, {
        percent: progress.percent,
        line: `${progress.percent.toFixed(0)}% ${where}${step}`,
      });
    }
  }
}
