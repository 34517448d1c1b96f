/** Shorter silences are ordinary. */
const silenceMsMin = 500;
/** Only silences longer than every later one are kept, so the list stays far shorter than this. */
const keptMax = 1_000;
/** A request that fails while this process stood still for so long says nothing about the server. */
const lateMsMin = 1_000;
const triesMax = 3;

/**
 * Notices when this process stood still: its machine had no processor for it, it was stopped, or one piece of code took very long.
 * Its own deadlines pass meanwhile, which says nothing about servers and other workers. `beat` is to be called every `beatMs`.
 */
export class OwnSilence {
  static readonly beatMs = 250;
  readonly #now: () => number;
  #beatAt: number | null = null;
  #silences: { ms: number; endedAt: number }[] = [];

  /** @param now monotonic milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  beat(): void {
    const now = this.#now();
    const ms = this.#beatAt === null ? 0 : now - this.#beatAt;
    this.#beatAt = now;
    if (ms < silenceMsMin) return;
    // Of those before it only longer ones say more: many short ones must not push a long one out.
    const longer = this.#silences.filter((silence) => silence.ms > ms);
    this.#silences = [...longer, { ms, endedAt: now }].slice(-keptMax);
  }

  /** The longest silence that ended after this time, up to now; 0 = there was none. */
  longestMsSince(time: number): number {
    if (this.#beatAt !== null) this.beat();
    return Math.max(0, ...this.#silences.map(({ ms, endedAt }) => (endedAt > time ? ms : 0)));
  }

  /** Repeats requests that fail while this process stood still: the answer may be there, and was only read too late. */
  async repeatIfLate(requests: () => Promise<void>, signal: AbortSignal): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      // A silence before the requests does not count.
      if (this.#beatAt !== null) this.beat();
      const beganAt = this.#now();
      try {
        await requests();
        return;
      } catch (error) {
        if (signal.aborted || tries === triesMax || this.longestMsSince(beganAt) < lateMsMin) throw error;
      }
    }
  }

  /** When the last silence of at least this length ended; -Infinity = there was none. */
  endOfLast(msMin: number): number {
    if (this.#beatAt !== null) this.beat();
    return this.#silences.findLast(({ ms }) => ms >= msMin)?.endedAt ?? Number.NEGATIVE_INFINITY;
  }
}
