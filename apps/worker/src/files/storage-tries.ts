import { type Options } from "p-retry";

/** Tries at one file while the server or the storage does not answer. */
export const storageTriesMax = 5;

/**
 * How often to try for one file, and how long to wait between two tries: 0.5, 1, 2, 4 s, and 5 s at most.
 * @param options.waitMs half of the first wait
 */
export function storageRetries({
  waitMs = 250,
  signal,
}: {
  waitMs?: number | undefined;
  signal: AbortSignal;
}): Options {
  return { retries: storageTriesMax - 1, minTimeout: 2 * waitMs, maxTimeout: 5_000, signal };
}
