import { type Options } from "p-retry";

/** How often one file is tried while the server or the storage answers with errors. */
export const storageTriesMax = 5;

/**
 * The number of tries for one file, and the waits between them: 0.5, 1, 2 and 4 s, and at most 5 s.
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
