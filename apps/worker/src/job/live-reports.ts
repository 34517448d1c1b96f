import { type JobPhase, type JobProgress } from "@genga/jobs";
import { type Run } from "./run.ts";

export interface Report {
  run: Run;
  phase: JobPhase;
  progress: JobProgress;
}

/** Watchers of one job are told its progress at most so often on average … */
const intervalMs = 100;
/** … and as much earlier as this, where the server's messages do not come evenly. */
const earlyMs = 100;
/**
 * A report that comes too early waits for the next message, which is newer: a server that sends twice as many messages
 * as are told has every second one told at once, and none of them late. It waits at most this long after it could be told:
 * after the last message of a burst, a node may run for minutes without another one.
 */
const graceMs = 50;

/** What watchers of one run were told last, and what they are told next. */
interface Live {
  told: Report;
  /** When the next report would be due if they came evenly, by the monotonic clock. */
  dueAt: number;
  waiting: Report | null;
  timer: NodeJS.Timeout | null;
}

/** Decides which reports watchers are told live, and when. */
export class LiveReports {
  readonly #tell: (report: Report) => void;
  readonly #live = new Map<Run, Live>();
  #isClosed = false;

  /** @param tell must neither throw nor wait */
  constructor(tell: (report: Report) => void) {
    this.#tell = tell;
  }

  /** Tells the report at once, a little later, or never if a newer one comes before. A new phase is told at once. */
  note(report: Report): void {
    if (this.#isClosed) return;
    const live = this.#live.get(report.run);
    if (live?.told.phase !== report.phase) {
      this.#tellNow(report);
      return;
    }
    live.waiting = null;
    if (isSame(live.told, report)) return;
    const waitMs = live.dueAt - earlyMs - performance.now();
    if (waitMs <= 0) {
      this.#tellNow(report);
      return;
    }
    live.waiting = report;
    live.timer ??= setTimeout(() => {
      live.timer = null;
      this.flush(report.run);
    }, waitMs + graceMs);
  }

  /** Tells the report of this run that waits. */
  flush(run: Run): void {
    const waiting = this.#live.get(run)?.waiting;
    if (waiting !== undefined && waiting !== null) this.#tellNow(waiting);
  }

  /** Forgets a run that ended or was lost. */
  forget(run: Run): void {
    clearTimeout(this.#live.get(run)?.timer ?? undefined);
    this.#live.delete(run);
  }

  /** Tells nothing more. */
  close(): void {
    this.#isClosed = true;
    for (const run of this.#live.keys()) this.forget(run);
  }

  #tellNow(report: Report): void {
    const before = this.#live.get(report.run);
    clearTimeout(before?.timer ?? undefined);
    const dueAt = Math.max(performance.now(), before?.dueAt ?? 0) + intervalMs;
    this.#live.set(report.run, { told: report, dueAt, waiting: null, timer: null });
    this.#tell(report);
  }
}

function isSame(one: Report, other: Report): boolean {
  return Object.entries(one.progress).every(([key, value]) => Reflect.get(other.progress, key) === value);
}
