import { type AttemptEnd, isTerminal, type Job, type JobStatus, type JobType } from "@genga/jobs";
import { Counter, Histogram, type Registry } from "prom-client";

/** What became of a job whose worker or server was lost. */
export type Recovery = "adopted" | "requeued";

/** What a worker counts of the jobs that it runs. Every label has few values, none of which a client chooses. */
export class RunMetrics {
  readonly #queueWait: Histogram<"type">;
  readonly #runTime: Histogram<"type">;
  readonly #attempts: Counter<"type" | "outcome" | "error_class">;
  readonly #ended: Counter<"type" | "status">;
  readonly #recovered: Counter<"how">;
  readonly #sweeperFailures: Counter<"step">;
  readonly #estimateError: Histogram<"type">;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#queueWait = new Histogram({
      name: "genga_job_queue_wait_seconds",
      help: "Time from a job's ticket, when it could run, to its claim by this worker.",
      labelNames: ["type"],
      buckets: [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400],
      registers,
    });
    this.#runTime = new Histogram({
      name: "genga_job_run_seconds",
      help: "Time for which a server executed a prompt that finished.",
      labelNames: ["type"],
      buckets: [0.5, 1, 2, 5, 10, 20, 40, 80, 160, 320, 640, 1_800, 3_600],
      registers,
    });
    this.#attempts = new Counter({
      name: "genga_attempts_ended_total",
      help: "Attempts whose end this worker recorded, by outcome and by class of the failure (none = it did not fail).",
      labelNames: ["type", "outcome", "error_class"],
      registers,
    });
    this.#ended = new Counter({
      name: "genga_jobs_ended_total",
      help: "Jobs that this worker ended, by their last status.",
      labelNames: ["type", "status"],
      registers,
    });
    this.#recovered = new Counter({
      name: "genga_jobs_recovered_total",
      help: "Jobs of lost workers that this worker adopted with their prompts, and jobs of lost workers and servers that it requeued.",
      labelNames: ["how"],
      registers,
    });
    this.#sweeperFailures = new Counter({
      name: "genga_sweeper_failures_total",
      help: "Steps of the sweeper that failed and will be repeated. Nothing fails while all is well.",
      labelNames: ["step"],
      registers,
    });
    this.#estimateError = new Histogram({
      name: "genga_run_estimate_error_ratio",
      help: "How far the estimate of a completed run was off, as a share of the run.",
      labelNames: ["type"],
      buckets: [0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2],
      registers,
    });
    for (const how of ["adopted", "requeued"] as const) this.#recovered.inc({ how }, 0);
  }

  /** A job was claimed. */
  noteClaimed({ type }: Pick<Job, "type">, waitedMs: number | null): void {
    if (waitedMs !== null) this.#queueWait.observe({ type }, waitedMs / 1_000);
  }

  noteRecovered(how: Recovery): void {
    this.#recovered.inc({ how });
  }

  /** @param step its name, of which there are few */
  noteSweeperFailure(step: string): void {
    this.#sweeperFailures.inc({ step });
  }

  /** A prompt finished. */
  noteExecuted(type: JobType, totalMs: number): void {
    this.#runTime.observe({ type }, totalMs / 1_000);
  }

  /** @param error as a share of the run; `null` = there was no estimate */
  noteEstimateError(type: JobType, error: number | null): void {
    if (error !== null) this.#estimateError.observe({ type }, error);
  }

  /** The end of an attempt was recorded. @param status of the job now */
  noteAttemptEnd(type: JobType, end: AttemptEnd, status: JobStatus): void {
    const errorClass = "failure" in end ? end.failure.class : "none";
    this.#attempts.inc({ type, outcome: end.kind, error_class: errorClass });
    if (isTerminal(status)) this.#ended.inc({ type, status });
  }
}

/**
 * How long a job had a ticket before it was claimed; `null` = that is not known. The time of the ticket is noted just after the
 * ticket was added: a job that is claimed sooner did not wait. Its age would be wrong, since it may have waited for another
 * job or for its `runAt`. The clocks of this machine and of the database may differ.
 */
export function waitedMs({ attempt, enqueuedAt }: Pick<Job, "attempt" | "enqueuedAt">): number | null {
  if (enqueuedAt === null) return attempt === 1 ? 0 : null;
  return Math.max(Date.now() - enqueuedAt.getTime(), 0);
}
