/** Resolves after a time. @throws the reason of the signal when it is aborted */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(finish, ms);
    signal.addEventListener("abort", fail, { once: true });
    function finish(): void {
      signal.removeEventListener("abort", fail);
      resolve();
    }
    function fail(): void {
      clearTimeout(timer);
      reject(reasonOf(signal));
    }
  });
}

/** The reason of an aborted signal as an error. */
export function reasonOf(signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  return reason instanceof Error ? reason : new Error("The wait was ended.", { cause: reason });
}

/**
 * How long to wait before the next attempt: twice as long after each failure, up to the longest, and at random between
 * half of that and all of it, so that clients which failed together do not come back together.
 */
export function backoffMs(
  failures: number,
  { firstMs, longestMs }: { firstMs: number; longestMs: number },
): number {
  const ms = Math.min(firstMs * 2 ** Math.min(failures - 1, 30), longestMs);
  return ms * (0.5 + Math.random() / 2);
}
