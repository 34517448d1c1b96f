/**
 * Runs one call under the caller's signal and a deadline. It uses a controller of its own instead of AbortSignal.any:
 * the caller's signal may live for hours, and must not collect one listener per call.
 * @param deadline.late makes the error for when the time is over
 * @throws the reason of the caller's signal, the error of `late`, or what the call throws
 */
export async function withDeadline<Result>(
  deadline: { timeoutMs: number; signal: AbortSignal | undefined; late: () => Error },
  call: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const { timeoutMs, signal: outer, late } = deadline;
  outer?.throwIfAborted();
  const inner = new AbortController();
  const abort = (): void => {
    inner.abort(outer?.reason);
  };
  const timer = setTimeout(() => {
    inner.abort(late());
  }, timeoutMs);
  outer?.addEventListener("abort", abort, { once: true });
  try {
    return await call(inner.signal);
  } catch (error) {
    outer?.throwIfAborted();
    inner.signal.throwIfAborted();
    throw error;
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener("abort", abort);
  }
}
