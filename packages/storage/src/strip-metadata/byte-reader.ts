/**
 * Reads a stream by counts of bytes instead of by chunks, and holds only the bytes that were asked for. If the stream
 * ends early, it returns fewer bytes: a file that breaks off is stored up to its end.
 */
export class ByteReader {
  readonly #chunks: AsyncIterator<unknown>;
  #held: Buffer = Buffer.alloc(0);
  #hasEnded = false;

  constructor(source: AsyncIterable<unknown>) {
    this.#chunks = source[Symbol.asyncIterator]();
  }

  /** Returns the next bytes without consuming them. */
  async peek(count: number): Promise<Buffer> {
    if (this.#held.length < count) {
      const chunks = [this.#held];
      for (let bytes = this.#held.length; bytes < count;) {
        const chunk = await this.#fetch();
        if (chunk === undefined) break;
        chunks.push(chunk);
        bytes += chunk.length;
      }
      this.#held = Buffer.concat(chunks);
    }
    return this.#held.subarray(0, count);
  }

  async take(count: number): Promise<Buffer> {
    const bytes = await this.peek(count);
    this.#held = this.#held.subarray(bytes.length);
    return bytes;
  }

  /** Passes on the next bytes in the chunks in which they arrive; all remaining bytes by default. */
  async *pass(count = Number.POSITIVE_INFINITY): AsyncGenerator<Buffer> {
    let left = count;
    while (left > 0) {
      if (this.#held.length === 0) {
        const chunk = await this.#fetch();
        if (chunk === undefined) return;
        this.#held = chunk;
      }
      const bytes = this.#held.subarray(0, Math.min(left, this.#held.length));
      this.#held = this.#held.subarray(bytes.length);
      left -= bytes.length;
      yield bytes;
    }
  }

  async skip(count: number): Promise<void> {
    await discard(this.pass(count));
  }

  /** Replaces the next bytes by the same number of zeros. */
  async *blank(count: number): AsyncGenerator<Buffer> {
    for await (const bytes of this.pass(count)) yield Buffer.alloc(bytes.length);
  }

  /** Ends the stream, whether or not it was read to its end. */
  async close(): Promise<void> {
    this.#hasEnded = true;
    await this.#chunks.return?.();
  }

  /** The next chunk; `undefined` at the end. */
  async #fetch(): Promise<Buffer | undefined> {
    if (this.#hasEnded) return undefined;
    const next = await this.#chunks.next();
    if (next.done === true) {
      this.#hasEnded = true;
      return undefined;
    }
    const value: unknown = next.value;
    if (typeof value === "string") return Buffer.from(value);
    if (!ArrayBuffer.isView(value)) throw new TypeError("A body must be a stream of bytes.");
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  }
}

/** Reads to the end and keeps nothing. */
export async function discard(parts: AsyncGenerator<Buffer>): Promise<void> {
  while ((await parts.next()).done !== true);
}
