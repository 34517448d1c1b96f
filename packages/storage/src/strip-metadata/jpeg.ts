import { type ByteReader } from "./byte-reader.ts";

/** Segments of texts: comments, EXIF and XMP (APP1), IPTC (APP13). Colour profiles (APP2) stay. */
const droppedMarkers = new Set([0xfe, 0xe1, 0xed]);
const startOfScan = 0xda;

/** Drops the segments of texts before the picture's data. */
export async function* stripJpeg(reader: ByteReader): AsyncGenerator<Buffer> {
  yield* reader.pass(2);
  for (;;) {
    const head = await reader.peek(4);
    const marker = head[1];
    if (head.length < 4 || head[0] !== 0xff || marker === undefined || marker === startOfScan) return;
    const bytes = 2 + head.readUInt16BE(2);
    if (droppedMarkers.has(marker)) await reader.skip(bytes);
    else yield* reader.pass(bytes);
  }
}
