import { type ByteReader } from "./byte-reader.ts";

const headBytes = 8;
/** Chunks of texts in WebP, WAV and AVI; of lists only `INFO`. */
const textTypes = new Set(["EXIF", "XMP ", "id3 ", "ID3 ", "_PMX", "iXML"]);
/** The chunk of flags has ten bytes. A chunk that claims more than this is not one. */
const flagsBytesMax = 64;
/** Flags of a WebP that announce EXIF and XMP. */
const announcements = 0b1100;

/**
 * Turns chunks of texts into junk chunks of the same length, because the file's size stands at its beginning and is
 * passed on before the rest is read.
 */
export async function* stripRiff(reader: ByteReader): AsyncGenerator<Buffer> {
  yield* reader.pass(12);
  for (;;) {
    const head = await reader.peek(headBytes + 4);
    if (head.length < headBytes) return;
    const type = head.toString("latin1", 0, 4);
    const size = head.readUInt32LE(4);
    const padded = size + (size % 2);
    if (textTypes.has(type) || (type === "LIST" && head.toString("latin1", 8, 12) === "INFO")) {
      yield Buffer.concat([Buffer.from("JUNK"), (await reader.take(headBytes)).subarray(4)]);
      yield* reader.blank(padded);
    } else if (type === "VP8X" && size <= flagsBytesMax) {
      const chunk = Buffer.from(await reader.take(headBytes + padded));
      if (chunk.length > headBytes) chunk.writeUInt8(chunk.readUInt8(headBytes) & ~announcements, headBytes);
      yield chunk;
    } else yield* reader.pass(headBytes + padded);
  }
}
