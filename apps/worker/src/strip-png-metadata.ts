import { Transform, type TransformCallback } from "node:stream";

const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
/** Length and type before a chunk's data, and the checksum after it. */
const headBytes = 8;
const checksumBytes = 4;

/** Chunks that hold texts or a camera's notes; `comf` is where ComfyUI's animated PNG keeps the graph. */
const droppedTypes = new Set(["tEXt", "zTXt", "iTXt", "eXIf", "comf"]);

/**
 * A stream that leaves a PNG's texts out and passes on all else byte by byte: the picture is not encoded anew. What is no
 * PNG passes as it is. Holds no more than a chunk's head, however large a chunk is.
 */
export class StripPngMetadata extends Transform {
  /** The beginning of a signature or head that has not come whole yet. */
  #held: Buffer = Buffer.alloc(0);
  #isPng: boolean | null = null;
  /** What is left of the chunk under way, checksum included. */
  #leftBytes = 0;
  #isDropping = false;
  #hasEnded = false;

  override _transform(bytes: Buffer, _encoding: string, done: TransformCallback): void {
    let rest = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
    this.#held = Buffer.alloc(0);
    while (rest.length > 0) {
      const used = this.#take(rest);
      if (used === 0) {
        this.#held = rest;
        break;
      }
      rest = rest.subarray(used);
    }
    done();
  }

  override _flush(done: TransformCallback): void {
    // A file that breaks off is stored as far as it goes.
    if (this.#held.length > 0) this.push(this.#held);
    done();
  }

  /** @returns how many bytes were dealt with; 0 = more must come first */
  #take(bytes: Buffer): number {
    if (this.#isPng === null) return this.#takeSignature(bytes);
    if (!this.#isPng || this.#hasEnded) return this.#pass(bytes);
    if (this.#leftBytes > 0) {
      const part = bytes.subarray(0, this.#leftBytes);
      this.#leftBytes -= part.length;
      return this.#isDropping ? part.length : this.#pass(part);
    }
    return this.#takeHead(bytes);
  }

  #takeSignature(bytes: Buffer): number {
    const begin = bytes.subarray(0, signature.length);
    if (!begin.equals(signature.subarray(0, begin.length))) {
      this.#isPng = false;
      return this.#pass(bytes);
    }
    if (begin.length < signature.length) return 0;
    this.#isPng = true;
    return this.#pass(begin);
  }

  #takeHead(bytes: Buffer): number {
    if (bytes.length < headBytes) return 0;
    const head = bytes.subarray(0, headBytes);
    const type = head.toString("latin1", 4);
    this.#leftBytes = head.readUInt32BE(0) + checksumBytes;
    this.#isDropping = droppedTypes.has(type);
    if (type === "IEND") {
      // What follows the end is not a chunk any more.
      this.#hasEnded = true;
    }
    return this.#isDropping ? headBytes : this.#pass(head);
  }

  #pass(bytes: Buffer): number {
    this.push(bytes);
    return bytes.length;
  }
}
