import { type TicketJob } from "../lanes/bull-lane.ts";

export interface TicketReport {
  percent: number;
  line?: string;
}

const intervalMs = 1000;

/**
 * Writes progress and log lines of tickets for Bull Board, at most once a second for each ticket; the latest replaces
 * earlier ones.
 */
export class TicketReports {
  readonly #pending = new Map<TicketJob, TicketReport>();
  readonly #lastLine = new WeakMap<TicketJob, string>();
  #timer: NodeJS.Timeout | null = null;

  add(job: TicketJob, report: TicketReport): void {
    const line = report.line ?? this.#pending.get(job)?.line;
    this.#pending.set(job, { percent: report.percent, ...(line === undefined ? {} : { line }) });
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      void this.flush();
    }, intervalMs).unref();
  }

  /** Writes the pending report of one ticket; await it before the ticket ends. */
  async flushOne(job: TicketJob): Promise<void> {
    const report = this.#pending.get(job);
    this.#pending.delete(job);
    if (report !== undefined) await this.#write(job, report);
  }

  async flush(): Promise<void> {
    const reports = [...this.#pending];
    this.#pending.clear();
    await Promise.all(reports.map(([job, report]) => this.#write(job, report)));
  }

  forget(job: TicketJob): void {
    this.#pending.delete(job);
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#pending.clear();
  }

  async #write(job: TicketJob, { percent, line }: TicketReport): Promise<void> {
    const writes: Promise<unknown>[] = [job.updateProgress(Math.round(percent))];
    if (line !== undefined && line !== this.#lastLine.get(job)) {
      this.#lastLine.set(job, line);
      writes.push(job.log(line));
    }
    // Reports for Bull Board are optional: neither a lost ticket nor an absent Redis may disturb the run.
    await Promise.allSettled(writes);
  }
}
