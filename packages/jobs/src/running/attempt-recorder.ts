import { type Job, type JobEvent, type JobStatus } from "../job/job.ts";
import { LeaseLostError } from "../job/job-errors.ts";
import {
  type AttemptEnd,
  type JobLease,
  type JobRuns,
  type PassedOn,
  type ProgressReport,
} from "../ports/job-runs.ts";
import { type JobSignal, type Signals } from "../ports/signals.ts";
import { isReadyAtOnce } from "./announcement.ts";

/** A job after the end of an attempt, and the event of that end. */
export interface StatusUpdate {
  job: Job;
  event: JobEvent;
}

/** Writes what happens to a job, for the holder of its lease: first to PostgreSQL, then as live signals. */
export class AttemptRecorder {
  readonly #runs: Pick<JobRuns, "endAttempt" | "recordProgress">;
  readonly #signals: Pick<Signals, "publish">;
  readonly #announce: ((ready: readonly Job[]) => void) | undefined;

  /** @param options.announce adds the tickets of jobs that an end has made ready; absent: the sweeper does */
  constructor(options: {
    runs: Pick<JobRuns, "endAttempt" | "recordProgress">;
    signals: Pick<Signals, "publish">;
    announce?: (ready: readonly Job[]) => void;
  }) {
    this.#runs = options.runs;
    this.#signals = options.signals;
    this.#announce = options.announce;
  }

  /** Records the end of an attempt, once. @param entry as of `JobRuns.endAttempt` @throws LeaseLostError nothing was changed */
  async end(lease: JobLease, end: AttemptEnd, entry?: string): Promise<StatusUpdate> {
    const result = await this.#runs.endAttempt(lease, end, entry);
    if (!result.held) throw new LeaseLostError(lease.jobId, lease.attempt, lease.leaseNumber);
    this.#signals.publish("job", eventSignal(result.event, result.job));
    if (result.passedOn !== undefined) {
      publishFailures(this.#signals, result.passedOn);
      this.#announce?.(result.passedOn.released);
    }
    if (isReadyAtOnce(result.job)) this.#announce?.([result.job]);
    this.#tellOfTakeBack(result.job, end);
    return { job: result.job, event: result.event };
  }

  #tellOfTakeBack({ id, status, attempt, ticketNumber }: Job, end: AttemptEnd): void {
    if (end.kind !== "requeue" || end.takenBackFor === undefined || status !== "queued") return;
    const message = { jobId: id, attempt: attempt + 1, ticketNumber, serverId: end.takenBackFor };
    this.#signals.publish("taken-back", message);
  }

  /** Writes coalesced progress in one statement. Stale reports change nothing. */
  async recordProgress(reports: (ProgressReport & Pick<Job, "batchId" | "tenantId">)[]): Promise<void> {
    if (reports.length === 0) return;
    const events = await this.#runs.recordProgress(reports);
    const reportOf = new Map(reports.map((report) => [report.jobId, report]));
    for (const event of events) {
      const { batchId = null, tenantId = null } = reportOf.get(event.jobId) ?? {};
      this.#signals.publish("job", eventSignal(event, { batchId, tenantId, status: "processing" }));
    }
  }
}

/** Publishes the failures of jobs whose needed job has ended without success. */
export function publishFailures(signals: Pick<Signals, "publish">, { failed }: PassedOn): void {
  for (const { job, event } of failed) signals.publish("job", eventSignal(event, job));
}

/** The live form of an event. */
export function eventSignal(
  event: JobEvent,
  { batchId, tenantId, status }: { batchId: string | null; tenantId: string | null; status: JobStatus },
): JobSignal {
  return {
    kind: "event",
    ...{ jobId: event.jobId, batchId, tenantId, status },
    event: { ...event, createdAt: event.createdAt.toISOString() },
  };
}
