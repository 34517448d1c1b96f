const timerMaxMs = 2 ** 31 - 1;

/**
 * Calls back once, when so much time has passed by the monotonic clock: never earlier, as Node's timers may, and also after more
 * time than they can wait.
 * @returns what prevents the call
 */
export function callIn(waitMs: number, callback: () => void): () => void {
  const endsAt = performance.now() + waitMs;
  let timer: NodeJS.Timeout;
  const wait = (): void => {
    const leftMs = Math.min(Math.max(0, Math.ceil(endsAt - performance.now())), timerMaxMs);
    timer = setTimeout(() => {
      if (performance.now() < endsAt) wait();
      else callback();
    }, leftMs);
  };
  wait();
  return () => {
    clearTimeout(timer);
  };
}
