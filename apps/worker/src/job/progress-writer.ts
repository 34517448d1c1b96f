import {
  type AttemptRecorder,
  type JobPhase,
  type JobProgress,
  type Signals,
  type TicketQueue,
} from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { Coalescer } from "../timing/coalescer.ts";
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

interface Report {
  run: Run;
  phase: JobPhase;
  progress: JobProgress;
}

/** What watchers of one run were told last, and what they are told when the interval is over. */
interface Live {
  toldAt: number;
  phase: JobPhase;
  waiting: Report | null;
  timer: NodeJS.Timeout | null;
}

/**
 * Brings progress to PostgreSQL (coalesced: one set-based statement per interval for all running jobs), to watchers
 * (live, a few times a second for each job) and to Bull Board.
 */
export class ProgressWriter {
  readonly #options: ProgressWriterOptions;
  readonly #pending = new Map<string, Report>();
  readonly #live = new Map<Run, Live>();
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
    this.#tellSoon(report);
  }

  /** Writes and publishes this job's pending progress now, so that the end of the job is not recorded before it. */
  async writeNow(run: Run): Promise<void> {
    this.#tellWaiting(run);
    if (this.#pending.get(run.jobId)?.run === run) await this.#flusher.trigger();
  }

  /** Forgets a run that ended or was lost. */
  forget(run: Run): void {
    clearTimer(this.#live.get(run));
    this.#live.delete(run);
    if (this.#pending.get(run.jobId)?.run === run) this.#pending.delete(run.jobId);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const live of this.#live.values()) clearTimer(live);
    this.#live.clear();
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

  /**
   * At once when the phase is new or the last was told long ago. Otherwise the latest state is told when the interval is
   * over: after the last message of a burst, a node may run for minutes without another one.
   */
  #tellSoon(report: Report): void {
    if (this.#isClosed) return;
    const live = this.#live.get(report.run);
    const leftMs = live === undefined ? 0 : live.toldAt + liveIntervalMs - performance.now();
    if (live?.phase !== report.phase || leftMs <= 0) {
      this.#tell(report);
      return;
    }
    live.waiting = report;
    live.timer ??= setTimeout(() => {
      this.#tellWaiting(report.run);
    }, leftMs);
  }

  #tellWaiting(run: Run): void {
    const waiting = this.#live.get(run)?.waiting;
    if (waiting !== undefined && waiting !== null) this.#tell(waiting);
  }

  #tell({ run, phase, progress }: Report): void {
    clearTimer(this.#live.get(run));
    this.#live.set(run, { toldAt: performance.now(), phase, waiting: null, timer: null });
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

function clearTimer(live: Live | undefined): void {
  clearTimeout(live?.timer ?? undefined);
}
