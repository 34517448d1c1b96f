import {
  type AttemptRecorder,
  type JobPhase,
  type JobProgress,
  type Signals,
  type TicketQueue,
} from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { Coalescer } from "../timing/coalescer.ts";
import { LiveReports, type Report } from "./live-reports.ts";
import { type Run } from "./run.ts";

export interface ProgressWriterOptions {
  recorder: AttemptRecorder;
  tickets: TicketQueue;
  signals: Signals;
  log: Logger;
  /** One statement at most this often, for all jobs together. */
  flushIntervalMs: number;
}

/**
 * Brings progress to PostgreSQL (coalesced: one set-based statement per interval for all running jobs), to watchers
 * (live, up to ten times a second for each job) and to Bull Board.
 */
export class ProgressWriter {
  readonly #options: ProgressWriterOptions;
  readonly #pending = new Map<string, Report>();
  readonly #live = new LiveReports((report) => {
    this.#tell(report);
  });
  readonly #flusher = new Coalescer(() => this.#flush());
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;

  constructor(options: ProgressWriterOptions) {
    this.#options = options;
  }

  /** Takes note; returns at once. */
  report(run: Run, phase: JobPhase, progress: JobProgress): void {
    const report = { run, phase, progress };
    this.#pending.set(run.jobId, report);
    run.progress = progress;
    this.#flushSoon();
    this.#live.note(report);
  }

  /** Writes and publishes this job's pending progress now, so that the end of the job is not recorded before it. */
  async writeNow(run: Run): Promise<void> {
    this.#live.flush(run);
    if (this.#pending.get(run.jobId)?.run === run) await this.#flusher.trigger();
  }

  /** Forgets a run that ended or was lost. */
  forget(run: Run): void {
    this.#live.forget(run);
    if (this.#pending.get(run.jobId)?.run === run) this.#pending.delete(run.jobId);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#live.close();
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
          tenantId: run.leased.job.tenantId,
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

  #tell({ run, phase, progress }: Report): void {
    const { jobId, attempt, job } = run.leased;
    this.#options.signals.publish("job", {
      kind: "progress",
      jobId,
      batchId: job.batchId,
      tenantId: job.tenantId,
      attempt,
      phase,
      progress,
    });
    if (run.ticket === null) return;
    const where = progress.nodeTitle ?? phase;
    const step = progress.steps === null ? "" : ` ${progress.step ?? 0}/${progress.steps}`;
    this.#options.tickets.report(run.ticket, {
      percent: progress.percent,
      line: `${progress.percent.toFixed(0)}% ${where}${step}`,
    });
  }
}
