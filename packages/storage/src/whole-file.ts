import { Readable } from "node:stream";
import { StorageError } from "@genga/jobs";
import { ByteReader } from "./strip-metadata/byte-reader.ts";

/** Passes on a file of one format, and throws if the file ends before its own structure does. */
type Check = (reader: ByteReader) => AsyncGenerator<Buffer>;

/** The checks by the beginning of the file's content, because a name may be wrong. */
const checks: readonly [begins: RegExp, check: Check][] = [
  [/^\x89PNG\r\n[^]\n/, wholePng],
  [/^\xff\xd8\xff/, wholeJpeg],
  [/^GIF8[79]a/, wholeGif],
  [/^RIFF[^]{4}(WEBP|WAVE|AVI )/, wholeRiff],
  [/^[^]{4}ftyp/, wholeIsoMedia],
  [/^[^]E\xdf\xa3/, wholeMatroska],
];

/**
 * Returns the body, which fails at its end with `output-truncated` if the file is incomplete: the server stopped
 * writing the file in the middle, and serves it as if it were complete. Only a few bytes are held in memory. A file of
 * an unknown format, or one that does not tell its length, is passed on unchecked.
 */
export function requireWhole(body: Readable): Readable {
  const checked = Readable.from(checkedParts(body), { objectMode: false });
  // If the body is destroyed before the first read, the generator never starts, so its clean-up does not run.
  checked.once("close", () => body.destroy());
  return checked;
}

async function* checkedParts(body: Readable): AsyncGenerator<Buffer> {
  const reader = new ByteReader(body);
  try {
    const begin = (await reader.peek(16)).toString("latin1");
    const check = checks.find(([begins]) => begins.test(begin))?.[1];
    if (check !== undefined) yield* check(reader);
    // Bytes after the end of a file do no harm.
    yield* reader.pass();
  } finally {
    await reader.close();
  }
}

function truncated(what: string): StorageError {
  const message = `The file breaks off in the middle: ${what}. The server did not write it to the end.`;
  return new StorageError("output-truncated", message, { retryable: true });
}

/** Passes on exactly this many bytes. */
async function* passAll(reader: ByteReader, count: number, what: string): AsyncGenerator<Buffer> {
  let left = count;
  for await (const bytes of reader.pass(count)) {
    left -= bytes.length;
    yield bytes;
  }
  if (left > 0) throw truncated(what);
}

/** Chunks of length, type, data and checksum, until `IEND`. */
async function* wholePng(reader: ByteReader): AsyncGenerator<Buffer> {
  yield* reader.pass(8);
  for (let type = ""; type !== "IEND";) {
    const head = await reader.peek(8);
    if (head.length < 8) throw truncated("a PNG without its end (IEND)");
    type = head.toString("latin1", 4);
    yield* passAll(reader, 8 + head.readUInt32BE(0) + 4, "a PNG without its end (IEND)");
  }
}

/** Coded data holds no end mark; cameras and other programs may append something to it. */
async function* wholeJpeg(reader: ByteReader): AsyncGenerator<Buffer> {
  const tail = new Tail(64 * 1_024);
  yield* tail.of(reader);
  if (!tail.bytes.includes(Buffer.from([0xff, 0xd9]))) throw truncated("a JPEG without its end mark");
}

async function* wholeGif(reader: ByteReader): AsyncGenerator<Buffer> {
  const tail = new Tail(1_024);
  yield* tail.of(reader);
  if (tail.bytes.findLast((byte) => byte !== 0) !== 0x3b) throw truncated("a GIF without its end mark");
}

/**
 * Lengths from here on mean an open length in a WAV that was written into a pipe: SoX writes this number, other
 * programs write all ones.
 */
const openLengthMin = 0x7ffff000;

/** WebP, WAV and AVI files state their length; a program that writes into a pipe leaves it open. */
async function* wholeRiff(reader: ByteReader): AsyncGenerator<Buffer> {
  const length = (await reader.peek(8)).readUInt32LE(4);
  if (length > 0 && length < openLengthMin)
    yield* passAll(reader, 8 + length, "a RIFF file shorter than it says");
}

/** The types of the boxes that such files consist of. */
const isoParts = new Set([
  "ftyp",
  "styp",
  "moov",
  "moof",
  "mdat",
  "meta",
  "free",
  "skip",
  "wide",
  "uuid",
  "sidx",
  "mfra",
  "emsg",
  "udta",
]);

/**
 * MP4 and its kin: boxes of length, type and content. The table of contents may come last, and a writer that was stopped
 * never wrote it.
 */
async function* wholeIsoMedia(reader: ByteReader): AsyncGenerator<Buffer> {
  let hasContents = false;
  for (;;) {
    const head = await reader.peek(16);
    if (head.length < 8) break;
    const type = head.toString("latin1", 4, 8);
    if (type === "moov" || type === "meta") hasContents = true;
    const short = head.readUInt32BE(0);
    const length = short === 1 && head.length === 16 ? Number(head.readBigUInt64BE(8)) : short;
    // A length of 0 means up to the end of the file. Other small numbers are not lengths: the box format ends here.
    if (length < 8) break;
    // After the table of contents any bytes may follow: a text that was appended would read like a box of some length.
    if (hasContents && !isoParts.has(type)) break;
    yield* passAll(reader, length, `a video whose part "${type}" is shorter than it says`);
  }
  yield* reader.pass();
  if (!hasContents) throw truncated("a video without its table of contents (moov)");
}

/** WebM and Matroska: a head, then one segment that may tell its length. */
async function* wholeMatroska(reader: ByteReader): AsyncGenerator<Buffer> {
  const what = "a WebM or Matroska file shorter than it says";
  const head = elementLength((await reader.peek(12)).subarray(4));
  if (head === undefined) return;
  yield* passAll(reader, 4 + head.ownBytes + head.length, what);
  const begin = await reader.peek(12);
  if (begin.length < 5) throw truncated(what);
  const segment = elementLength(begin.subarray(4));
  if (begin.readUInt32BE(0) !== 0x18538067 || segment === undefined) return;
  yield* passAll(reader, 4 + segment.ownBytes + segment.length, what);
}

/** A length of EBML (RFC 8794, section 4); `undefined` if the length is left open or invalid. */
function elementLength(bytes: Buffer): { ownBytes: number; length: number } | undefined {
  const ownBytes = Math.clz32(bytes[0] ?? 0) - 24 + 1;
  if (ownBytes > 8 || bytes.length < ownBytes) return undefined;
  let length = (bytes[0] ?? 0) - 2 ** (8 - ownBytes);
  for (let at = 1; at < ownBytes; at += 1) length = length * 256 + (bytes[at] ?? 0);
  return length >= 2 ** (7 * ownBytes) - 1 ? undefined : { ownBytes, length };
}

/** Keeps the last bytes of a stream. */
class Tail {
  bytes = Buffer.alloc(0);
  readonly #bytesMax: number;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  async *of(reader: ByteReader): AsyncGenerator<Buffer> {
    for await (const chunk of reader.pass()) {
      this.bytes = Buffer.concat([this.bytes, chunk.subarray(-this.#bytesMax)]).subarray(-this.#bytesMax);
      yield chunk;
    }
  }
}
