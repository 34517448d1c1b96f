import { type ByteReader } from "./byte-reader.ts";

/** Boxes to look into, below the top. Not `meta` at the top: a HEIF or AVIF is described there. */
const containers = new Set(["moov", "trak"]);
/** Texts inside of those: what players show as title and comment, and where FFmpeg puts keys of its own. */
const textTypes = new Set(["udta", "meta"]);
/** XMP in a box of its own. */
const xmp = "be7acfcb97a942e89c71999491e3afac";
/** A container says how long it is; deeper nesting than this is no film. */
const depthMax = 4;

/**
 * MP4, MOV, M4A: turns boxes of texts into free space of the same length, since tables of frames count bytes from the
 * beginning of the file.
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
    // 0 = up to the end of the file; anything below a head's length is broken.
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
