/** What may wait for all clients of this process together: beyond the first figure nobody who is behind gets progress and previews … */
export const droppingBytes = 128 * 1024 * 1024;
/** … and beyond this one the client for which the most waits is cut off. It comes back, and is told of the ends that it has missed. */
export const waitingBytesMax = 256 * 1024 * 1024;

interface Waiting {
  readonly waitingBytes: number;
  terminate(): void;
}

/** The memory of what the clients of this process have not taken. */
export class SocketMemory {
  readonly #sockets = new Set<Waiting>();
  /** At most what waits is more than that was sent since it was counted. */
  #counted = 0;
  #sentSince = 0;

  add(socket: Waiting): void {
    this.#sockets.add(socket);
  }

  remove(socket: Waiting): void {
    this.#sockets.delete(socket);
  }

  /** Whether progress and previews are to be left out for clients that are behind. */
  get isScarce(): boolean {
    return this.#upTo(droppingBytes) > droppingBytes;
  }

  /** So much was given to a socket. */
  noteSent(bytes: number): void {
    this.#sentSince += bytes;
    while (this.#upTo(waitingBytesMax) > waitingBytesMax) {
      const [slowest] = [...this.#sockets].toSorted((one, other) => other.waitingBytes - one.waitingBytes);
      if (slowest === undefined) return;
      this.#sockets.delete(slowest);
      slowest.terminate();
      this.#count();
    }
  }

  /** What waits at most; counted anew only if that may be more than the limit. */
  #upTo(limit: number): number {
    if (this.#counted + this.#sentSince > limit && this.#sentSince > 0) this.#count();
    return this.#counted + this.#sentSince;
  }

  #count(): void {
    this.#counted = 0;
    for (const { waitingBytes } of this.#sockets) this.#counted += waitingBytes;
    this.#sentSince = 0;
  }
}
