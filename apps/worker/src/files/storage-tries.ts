import { setTimeout as sleep } from "node:timers/promises";

/** Tries at one file while the server or the storage does not answer; waits 0.5, 1, 2, 4 s between them. */
export const storageTriesMax = 5;
/** Longest wait between two tries. */
const waitMaxMs = 5_000;

/**
 * @param tries that failed so far
 * @param options.waitMs half of the first wait
 */
export async function waitForNextTry(
  tries: number,
  { waitMs = 250, signal }: { waitMs?: number | undefined; signal: AbortSignal },
): Promise<void> {
  await sleep(Math.min(waitMs * 2 ** tries, waitMaxMs), undefined, { signal });
}
