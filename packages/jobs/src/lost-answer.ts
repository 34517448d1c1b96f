import { setTimeout as sleep } from "node:timers/promises";
import { StoreUnavailableError } from "./job-errors.ts";

/** Tries after the first, 0.2 s and 0.4 s … apart, before the caller is told that the store is away. */
const triesMax = 4;
const betweenMs = 200;
/** No further try after so long: the store may be silent rather than gone, and then each try takes its time. */
const patienceMs = 3_000;

/**
 * For requests that may take effect although their answer is lost: does it again when the store was unavailable, telling
 * the work that it may find its own earlier effect.
 * @throws StoreUnavailableError nothing is known
 */
export async function withLostAnswers<Result>(work: (isAgain: boolean) => Promise<Result>): Promise<Result> {
  const until = performance.now() + patienceMs;
  for (let tries = 1; ; tries += 1) {
    try {
      return await work(tries > 1);
    } catch (error) {
      if (!(error instanceof StoreUnavailableError) || tries > triesMax || performance.now() > until)
        throw error;
      await sleep(betweenMs * tries);
    }
  }
}
