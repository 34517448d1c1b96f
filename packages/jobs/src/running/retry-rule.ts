import { type Job, type JobFailure } from "../job/job.ts";
import { type AttemptEnd } from "../ports/job-runs.ts";

/** After this many servers crashed while executing one job, the job itself counts as the cause. */
const crashesMax = 3;
/** The failure code of a job that keeps crashing servers. */
export const poisonCode = "poison";
const backoffBaseMs = 1_000;
const backoffMaxMs = 60_000;

/**
 * Decides what follows a failed attempt, by the class of its failure. Invalid: no retry, unless only this server
 * refused the graph. Execution: a retry while the job's `attemptsMax` allows it. Out of memory: one retry, on another
 * server if there is one. Server: always an uncharged retry, unless the job keeps crashing servers or makes them hang.
 * Deadline and dependency: no retry.
 *
 * @param options.random 0 ≤ random < 1, spreads retries
 * @param options.mayRunElsewhere only one server refused the graph, and another one can run it as far as is known
 */
export function endAfterFailure(
  job: Pick<Job, "attemptsCharged" | "attemptsMax" | "outOfMemoryCount" | "crashCount" | "attempt">,
  failure: JobFailure,
  options: { wasExecuting: boolean; random: number; mayRunElsewhere?: boolean },
): AttemptEnd {
  switch (failure.class) {
    case "invalid":
      return options.mayRunElsewhere === true
        ? requeue(failure, job, options.random, { charged: false, avoidServer: true })
        : { kind: "failed", failure };
    case "dependency":
      return { kind: "failed", failure };
    case "deadline":
      return { kind: "timeout", failure };
    case "execution":
      return job.attemptsCharged + 1 < job.attemptsMax
        ? requeue(failure, job, options.random, { charged: true, avoidServer: false })
        : { kind: "failed", failure };
    case "out_of_memory":
      return job.outOfMemoryCount === 0
        ? requeue(failure, job, options.random, { charged: false, avoidServer: true, counts: "outOfMemory" })
        : { kind: "failed", failure };
    case "server":
      return afterServerLoss(job, failure, options);
  }
}

function afterServerLoss(
  job: Pick<Job, "crashCount" | "attempt">,
  failure: JobFailure,
  options: { wasExecuting: boolean; random: number },
): AttemptEnd {
  if (!options.wasExecuting) {
    return requeue(failure, job, options.random, { charged: false, avoidServer: true });
  }
  if (job.crashCount + 1 >= crashesMax) {
    const message = `It was executing ${crashesMax} times when its server crashed, hung or broke; it is not tried again. ${failure.message}`;
    return { kind: "failed", failure: { ...failure, code: poisonCode, message } };
  }
  return requeue(failure, job, options.random, { charged: false, avoidServer: true, counts: "crash" });
}

function requeue(
  failure: JobFailure,
  job: Pick<Job, "attempt">,
  random: number,
  how: { charged: boolean; avoidServer: boolean; counts?: "outOfMemory" | "crash" },
): AttemptEnd {
  return { kind: "requeue", failure, delayMs: backoffMs(job.attempt, random), ...how };
}

/**
 * Exponential from one second to a minute, half of it random, so that a recovering server does not get all retries at
 * once.
 */
export function backoffMs(attempt: number, random: number): number {
  const full = Math.min(backoffBaseMs * 2 ** Math.max(0, attempt - 1), backoffMaxMs);
  return Math.round(full / 2 + (full / 2) * random);
}
