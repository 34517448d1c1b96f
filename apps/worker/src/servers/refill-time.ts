/** The weight of one new measurement; the earlier mean has the rest. */
const newWeight = 0.2;
/** More free places than this are not remembered. */
const freedMax = 32;

/**
 * How long a server lately waited from the end of a prompt until the next one had been accepted by it: the way through
 * tickets, claim and POST. Only places that are filled again as soon as possible count. Times are monotonic
 * milliseconds.
 */
export class RefillTime {
  /** When prompts ended whose places have not been given away, oldest first. */
  #freedAt: number[] = [];
  /** Since when the place was free that a run got. */
  #freeSince = new WeakMap<object, number>();
  #meanMs: number | null = null;

  /** `null` = not measured since `forget`. */
  get meanMs(): number | null {
    return this.#meanMs;
  }

  /** A prompt ended. */
  noteEnded(at: number): void {
    if (this.#freedAt.length < freedMax) this.#freedAt.push(at);
  }

  /** The place of the earliest ended prompt is given to the run. */
  noteTaken(run: object): void {
    const freedAt = this.#freedAt.shift();
    if (freedAt !== undefined) this.#freeSince.set(run, freedAt);
  }

  /** The server has accepted the run's prompt. */
  noteAccepted(run: object, now: number): void {
    const since = this.#freeSince.get(run);
    if (since === undefined) return;
    this.#freeSince.delete(run);
    const refillMs = Math.max(now - since, 0);
    this.#meanMs = this.#meanMs === null ? refillMs : this.#meanMs + (refillMs - this.#meanMs) * newWeight;
  }

  /** Nothing waited for the places that were free by then, so the time until they are filled says nothing. */
  noteNothingWaited(by: number): void {
    this.#freedAt = this.#freedAt.filter((freedAt) => freedAt > by);
  }

  /** The server loads another model, or has restarted. */
  forget(): void {
    this.#freedAt = [];
    this.#freeSince = new WeakMap();
    this.#meanMs = null;
  }
}
