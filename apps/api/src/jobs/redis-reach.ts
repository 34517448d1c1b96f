/** How long an answer is reused. */
const maxAgeMs = 1_000;

/** Whether Redis can be reached, asked at most once a second however many clients want to know. */
export class RedisReach {
  readonly #ping: () => Promise<unknown>;
  #latest: { askedAt: number; isAway: Promise<boolean> } | undefined;

  constructor(ping: () => Promise<unknown>) {
    this.#ping = ping;
  }

  isAway(): Promise<boolean> {
    const now = performance.now();
    if (this.#latest !== undefined && now - this.#latest.askedAt < maxAgeMs) return this.#latest.isAway;
    const isAway = this.#ping().then(
      () => false,
      () => true,
    );
    this.#latest = { askedAt: now, isAway };
    return isAway;
  }
}
