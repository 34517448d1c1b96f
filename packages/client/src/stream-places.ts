/** How many streams a client may keep open to wait; browsers open only six connections to a host. */
export class StreamPlaces {
  #free: number;

  constructor(streamsMax: number) {
    this.#free = streamsMax;
  }

  /** @returns whether there was a place */
  take(): boolean {
    if (this.#free === 0) return false;
    this.#free -= 1;
    return true;
  }

  giveBack(): void {
    this.#free += 1;
  }
}
