export interface BackoffRules {
  /** The pause after the first failed attempt. */
  readonly firstMs: number;
  /** Attempts are repeated for so long. */
  readonly forMs: number;
}

const growth = 3;
/** The longest pause is this part of the whole time, so that the last attempts are not all in its first hours. */
const pausesMin = 6;
/** Pauses differ by up to this part, so that what failed together does not come again together. */
const spread = 0.25;

/**
 * The pause before the next attempt in milliseconds; `null` = there is none. A pause that would end too late is shortened, so
 * that the last attempt comes when the time is over: a receiver that was away until then still gets everything.
 * @param attempt the number of the attempt that failed, from 1
 * @param ageMs how long attempts have been made
 * @param options.leastMs the receiver asked for a pause of this length
 * @param options.random from 0 to 1
 */
export function pauseAfter(
  attempt: number,
  ageMs: number,
  { firstMs, forMs }: BackoffRules,
  { leastMs = 0, random = Math.random() }: { leastMs?: number; random?: number } = {},
): number | null {
  const leftMs = forMs - ageMs;
  if (leftMs <= 0) return null;
  const grown = firstMs * growth ** Math.min(attempt - 1, 30);
  const longest = Math.max(forMs / pausesMin, firstMs);
  const pause = Math.max(Math.min(grown, longest) * (1 - spread + 2 * spread * random), leastMs);
  return Math.round(Math.min(pause, leftMs));
}
