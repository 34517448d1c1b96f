import { publishFailures, type JobRuns, type Signals } from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { type RunMetrics } from "../metrics/run-metrics.ts";

export interface NotedEndsOptions {
  runs: Pick<JobRuns, "passOnEnds">;
  signals: Signals;
  metrics: Pick<RunMetrics, "noteSweeperFailure">;
  log: Logger;
}

/** Each has at most 500 jobs that depend on it. */
const endsPerRound = 50;
const roundsMax = 20;
/** An end below which rows are locked comes again in the next pass, then after this, then after twice as much, and so on. */
const lockedPutOffMs = 1_000;
const putOffMsMax = 30_000;

interface PutOff {
  /** By the monotonic clock. */
  until: number;
  ms: number;
}

/** Tells jobs that depend on ended ones what the transactions that ended these have not told them. */
export class NotedEnds {
  readonly #options: NotedEndsOptions;
  /** Ends that could not be passed on, and until when others have their turn. */
  readonly #putOff = new Map<string, PutOff>();

  constructor(options: NotedEndsOptions) {
    this.#options = options;
  }

  /** No end delays another one. */
  async passOn(): Promise<void> {
    const { runs, signals, log } = this.#options;
    const now = performance.now();
    for (const [jobId, { until }] of this.#putOff) {
      // One that was told meanwhile is not named again.
      if (until + 2 * putOffMsMax <= now) this.#putOff.delete(jobId);
    }
    const except = new Set([...this.#putOff].filter(([, { until }]) => until > now).map(([jobId]) => jobId));
    for (let round = 0; round < roundsMax; round += 1) {
      const passedOn = await runs.passOnEnds(endsPerRound, [...except]);
      const { released, failed, refused, locked, isDone } = passedOn;
      publishFailures(signals, { released, failed });
      if (released.length + failed.length > 0)
        log.info({ released: released.length, failed: failed.length }, "ends of jobs were passed on");
      for (const { jobId, error } of refused) this.#noteRefused(jobId, error);
      for (const jobId of locked) this.#noteLocked(jobId);
      for (const jobId of [...refused.map((one) => one.jobId), ...locked]) except.add(jobId);
      if (isDone) return;
    }
  }

  #noteRefused(jobId: string, error: unknown): void {
    const { metrics, log } = this.#options;
    this.#putOffBy(jobId, putOffMsMax);
    metrics.noteSweeperFailure("ends");
    log.warn({ err: error, jobId }, "the end of a job could not be passed on yet");
  }

  #noteLocked(jobId: string): void {
    const before = this.#putOff.get(jobId);
    const ms = before === undefined ? 0 : Math.min(putOffMsMax, Math.max(lockedPutOffMs, 2 * before.ms));
    this.#putOffBy(jobId, ms);
    this.#options.log.debug(
      { jobId, ms },
      "others hold what is below the end of a job; it is passed on later",
    );
  }

  #putOffBy(jobId: string, ms: number): void {
    this.#putOff.set(jobId, { until: performance.now() + ms, ms });
  }
}
