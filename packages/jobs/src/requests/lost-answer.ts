import { setTimeout as sleep } from "node:timers/promises";
import pRetry from "p-retry";
import { type Job } from "../job/job.ts";
import { StoreUnavailableError } from "../job/job-errors.ts";
import { type TenantJobReader } from "../ports/job-reader.ts";
import { type JobRequests, type NewSubmission } from "../ports/job-requests.ts";

/** How many more tries follow the first, after pauses of 0.2, 0.4, 0.6 and 0.6 s, before the store counts as unavailable. */
const retriesMax = 4;
const betweenMs = { first: 200, longest: 600 };
/** No further try begins after this time. A store that does not answer at all makes each try slow. */
const patienceMs = 3_000;

/** The pause before the rows of an insert whose answer was lost are queried: PostgreSQL may still be executing it. */
const queryAfterMs = 200;

/**
 * Runs a change that may take effect although its answer is lost. Repeats it while the store is unavailable, and tells
 * `work` whether an earlier try may have taken effect.
 * @throws StoreUnavailableError whose `effect` says whether any try can have taken effect
 */
export async function withLostAnswers<Result>(work: (isAgain: boolean) => Promise<Result>): Promise<Result> {
  const failures: StoreUnavailableError[] = [];
  try {
    return await pRetry((attempt) => work(attempt > 1), {
      retries: retriesMax,
      minTimeout: betweenMs.first,
      maxTimeout: betweenMs.longest,
      maxRetryTime: patienceMs,
      onFailedAttempt: ({ error }) => {
        if (error instanceof StoreUnavailableError) failures.push(error);
      },
      shouldRetry: ({ error }) => error instanceof StoreUnavailableError,
    });
  } catch (error) {
    if (!(error instanceof StoreUnavailableError)) throw error;
    throw withEffect(error, failures.every(({ wasRefused }) => wasRefused) ? "none" : "unknown");
  }
}

/** The part of a `JobReader` that finds inserted jobs. */
interface FinderOfJobs {
  of(tenantId: string): Pick<TenantJobReader, "findJobs">;
}

/**
 * Inserts jobs. If the connection breaks before the answer arrives, queries for their rows: the insert is one
 * statement, so all ids exist or none.
 * @throws StoreUnavailableError whose `effect` says whether the insert can have taken effect
 */
export async function insertOrFind(
  { requests, reader }: { requests: Pick<JobRequests, "insertJobs">; reader: FinderOfJobs },
  submission: NewSubmission,
): Promise<Job[]> {
  try {
    return await requests.insertJobs(submission);
  } catch (error) {
    if (!(error instanceof StoreUnavailableError)) throw error;
    if (error.wasRefused) throw withEffect(error, "none");
    await sleep(queryAfterMs);
    const own = reader.of(submission.tenantId);
    const found = await withLostAnswers(() => own.findJobs(submission.jobs.map(({ id }) => id))).catch(
      // The query failed, too; the insert may have taken effect all the same.
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
