import { type ByteReader } from "./byte-reader.ts";

/**
 * Boxes whose content is searched. The `meta` box at the top level is not among them, because it describes the picture
 * in HEIF and AVIF files.
 */
const containers = new Set(["moov", "trak"]);
/**
 * Boxes with texts inside of those: the title and comment that players show, and the place where FFmpeg writes its own
 * keys.
 */
const textTypes = new Set(["udta", "meta"]);
/** The id of a box that holds XMP. */
const xmp = "be7acfcb97a942e89c71999491e3afac";
/** Containers are searched only down to this depth; no real film is nested deeper. */
const depthMax = 4;

/**
 * MP4, MOV, M4A: turns boxes of texts into free space of the same length, because the tables of frames hold positions
 * counted from the beginning of the file.
 */
export async function* stripIsoMedia(reader: ByteReader): AsyncGenerator<Buffer> {
  yield* boxes(reader, Number.POSITIVE_INFINITY, 0);
}

async function* boxes(reader: ByteReader, bytes: number, depth: number): AsyncGenerator<Buffer> {
  let left = bytes;
  while (left > 0) {
    const head = await reader.peek(32);
    if (head.length < 8) break;
    const type = head.toString("latin1", 4, 8);
    const isLong = head.readUInt32BE(0) === 1;
    if (isLong && head.length < 16) break;
    const headBytes = isLong ? 16 : 8;
    const size = isLong ? Number(head.readBigUInt64BE(8)) : head.readUInt32BE(0);
    // A size of 0 means up to the end of the file. A size smaller than the head itself is broken.
    if (size < headBytes || size > left) break;
    left -= size;
    const isXmp = type === "uuid" && head.toString("hex", headBytes, headBytes + 16) === xmp;
    if (isXmp || (depth > 0 && textTypes.has(type))) {
      const free = Buffer.from(await reader.take(headBytes));
      free.write("free", 4, "latin1");
      yield free;
      yield* reader.blank(size - headBytes);
    } else if (containers.has(type) && depth < depthMax) {
      yield* reader.pass(headBytes);
      yield* boxes(reader, size - headBytes, depth + 1);
    } else yield* reader.pass(size);
  }
  if (left > 0) yield* reader.pass(left);
}
