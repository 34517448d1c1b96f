import { setTimeout as sleep } from "node:timers/promises";
import { type Job, type NewBatch, type NewJob } from "../job/job.ts";
import { StoreUnavailableError } from "../job/job-errors.ts";
import { type TenantJobReader } from "../ports/job-reader.ts";
import { type JobRequests } from "../ports/job-requests.ts";

/** Tries after the first, 0.2 s and 0.4 s … apart, before the caller is told that the store is away. */
const triesMax = 4;
const betweenMs = 200;
/** No further try after so long: the store may be silent rather than gone, and then each try takes its time. */
const patienceMs = 3_000;

/** An insert whose answer was lost is looked for after this long: PostgreSQL may still be at it. */
const lookAfterMs = 200;

/**
 * For requests that may take effect although their answer is lost: does it again when the store was unavailable, telling
 * the work that it may find its own earlier effect.
 * @throws StoreUnavailableError which knows whether any try can have taken effect
 */
export async function withLostAnswers<Result>(work: (isAgain: boolean) => Promise<Result>): Promise<Result> {
  const until = performance.now() + patienceMs;
  let areAllRefused = true;
  for (let tries = 1; ; tries += 1) {
    try {
      return await work(tries > 1);
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) throw error;
      areAllRefused &&= error.wasRefused;
      if (tries > triesMax || performance.now() > until)
        throw withEffect(error, areAllRefused ? "none" : "unknown");
      await sleep(betweenMs * tries);
    }
  }
}

/** The part of a `JobReader` that finds inserted jobs. */
interface FinderOfJobs {
  of(tenantId: string): Pick<TenantJobReader, "findJobs">;
}

/**
 * Inserts, and finds out what happened when the connection broke before the answer came: all our ids are there, or none
 * is. @throws StoreUnavailableError which knows whether the insert can have taken effect
 */
export async function insertOrFind(
  { requests, reader }: { requests: Pick<JobRequests, "insertJobs">; reader: FinderOfJobs },
  submission: { tenantId: string; batch: NewBatch | null; jobs: NewJob[] },
): Promise<Job[]> {
  try {
    return await requests.insertJobs(submission);
  } catch (error) {
    if (!(error instanceof StoreUnavailableError)) throw error;
    if (error.wasRefused) throw withEffect(error, "none");
    await sleep(lookAfterMs);
    const own = reader.of(submission.tenantId);
    const found = await withLostAnswers(() => own.findJobs(submission.jobs.map(({ id }) => id))).catch(
      // The look failed; the insert may have taken effect all the same.
      () => [],
    );
    if (found.length === 0) throw withEffect(error, "unknown");
    return found;
  }
}

function withEffect(error: StoreUnavailableError, effect: "none" | "unknown"): StoreUnavailableError {
  const { fault, wasRefused, cause } = error;
  return new StoreUnavailableError(cause, { fault, wasRefused, effect });
}
