import { open, type FileHandle } from "node:fs/promises";

/**
 * How long one pass of an animated WebP, APNG or GIF takes, in milliseconds; `null` for a still picture and for any
 * other type. Reads chunk headers only, never the pixels. `sharp` knows no frames of an APNG, and reads no WebP that was
 * cut short.
 */
export async function animationDurationMs(path: string, mediaType: string): Promise<number | null> {
  const sumDelays = delayReaders.get(mediaType);
  if (sumDelays === undefined) return null;
  const handle = await open(path);
  try {
    const durationMs = await sumDelays(handle);
    return durationMs > 0 ? Math.round(durationMs) : null;
  } finally {
    await handle.close();
  }
}

const delayReaders = new Map<string, (handle: FileHandle) => Promise<number>>([
  ["image/webp", sumWebpDelays],
  ["image/apng", sumApngDelays],
  ["image/gif", sumGifDelays],
]);

/** At most this many chunks are read, so that a crafted file cannot cause endless work. */
const chunksMax = 200_000;

/** RIFF chunks: name, length (little-endian), content, padded to even; an `ANMF` frame's delay is at its byte 12. */
async function sumWebpDelays(handle: FileHandle): Promise<number> {
  let durationMs = 0;
  let position = 12;
  for (let count = 0; count < chunksMax; count += 1) {
    const header = await readAt(handle, position, 24);
    if (header.length < 8) break;
    const length = header.readUInt32LE(4);
    if (header.toString("latin1", 0, 4) === "ANMF" && header.length >= 23)
      durationMs += header.readUIntLE(20, 3);
    position += 8 + length + (length % 2);
  }
  return durationMs;
}

/** PNG chunks: length (big-endian), name, content, checksum; `fcTL` holds the delay as a fraction of a second. */
async function sumApngDelays(handle: FileHandle): Promise<number> {
  let durationMs = 0;
  let position = 8;
  for (let count = 0; count < chunksMax; count += 1) {
    const header = await readAt(handle, position, 32);
    if (header.length < 8) break;
    const length = header.readUInt32BE(0);
    if (header.toString("latin1", 4, 8) === "fcTL" && header.length >= 32) {
      const [delay, unit] = [header.readUInt16BE(28), header.readUInt16BE(30)];
      durationMs += (delay * 1000) / (unit === 0 ? 100 : unit);
    }
    position += 12 + length;
  }
  return durationMs;
}

/** GIF blocks: an introducer, then sub-blocks of up to 255 bytes; a graphic control block holds hundredths of a second. */
async function sumGifDelays(handle: FileHandle): Promise<number> {
  const reader = new BlockReader(handle);
  await reader.skip(10);
  await reader.skip(colorTableBytes(await reader.byte()) + 2);
  let hundredths = 0;
  for (let count = 0; count < chunksMax; count += 1) {
    const introducer = await reader.byte();
    if (introducer === 0x2c) {
      await reader.skip(8);
      await reader.skip(colorTableBytes(await reader.byte()) + 1);
    } else if (introducer === 0x21) {
      const label = await reader.byte();
      if (label === 0xf9) {
        await reader.skip(2);
        hundredths += (await reader.byte()) + 256 * (await reader.byte());
        await reader.skip(1);
      }
    } else {
      break;
    }
    await skipSubBlocks(reader);
  }
  return hundredths * 10;
}

function colorTableBytes(flags: number): number {
  return (flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 0x07) + 1);
}

async function skipSubBlocks(reader: BlockReader): Promise<void> {
  for (let length = await reader.byte(); length > 0; length = await reader.byte()) await reader.skip(length);
}

const blockBytes = 64 * 1024;

/** Reads a file byte by byte, from blocks. The end of the file reads as zeros. */
class BlockReader {
  readonly #handle: FileHandle;
  #block: Buffer = Buffer.alloc(0);
  #blockStart = 0;
  #position = 0;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async byte(): Promise<number> {
    const offset = this.#position - this.#blockStart;
    this.#position += 1;
    if (offset < this.#block.length) return this.#block[offset] ?? 0;
    this.#blockStart = this.#position - 1;
    this.#block = await readAt(this.#handle, this.#blockStart, blockBytes);
    return this.#block[0] ?? 0;
  }

  skip(bytes: number): Promise<void> {
    this.#position += bytes;
    return Promise.resolve();
  }
}

async function readAt(handle: FileHandle, position: number, bytes: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(bytes), 0, bytes, position);
  return buffer.subarray(0, bytesRead);
}
