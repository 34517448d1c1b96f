import { crc32 } from "node:zlib";
import { type ByteReader } from "./byte-reader.ts";

const signatureBytes = 8;
/** Length and type before a chunk's data, and the checksum after it. */
const headBytes = 8;
const checksumBytes = 4;

/** Chunks that hold texts or a camera's notes; `comf` is where ComfyUI's animated PNG keeps the graph. */
const droppedTypes = new Set(["tEXt", "zTXt", "iTXt", "eXIf", "comf"]);

/** Drops the chunks of texts. Bytes after the end chunk are passed on unchanged. */
export async function* stripPng(reader: ByteReader): AsyncGenerator<Buffer> {
  yield* reader.pass(signatureBytes);
  for (;;) {
    const head = await reader.peek(headBytes);
    if (head.length < headBytes) return;
    const type = head.toString("latin1", 4);
    const bytes = headBytes + head.readUInt32BE(0) + checksumBytes;
    if (droppedTypes.has(type)) await reader.skip(bytes);
    else yield* reader.pass(bytes);
    if (type === "IEND") return;
  }
}

/** Chunks in which ComfyUI keeps the graph in plain text. */
const plainTypes = new Set(["tEXt", "comf"]);
/** A longer text is passed on unchanged; no graph that Genga accepts is that long. */
const textBytesMax = 64 * 2 ** 20;

/** Replaces the text of each plain chunk by the result of `shown`; all other bytes stay the same. */
export async function* renameInPng(
  reader: ByteReader,
  shown: (text: string) => string,
): AsyncGenerator<Buffer> {
  yield* reader.pass(signatureBytes);
  for (;;) {
    const head = await reader.peek(headBytes);
    if (head.length < headBytes) return;
    const type = head.toString("latin1", 4);
    const length = head.readUInt32BE(0);
    const bytes = headBytes + length + checksumBytes;
    if (!plainTypes.has(type) || length > textBytesMax) yield* reader.pass(bytes);
    else yield renamed(await reader.take(bytes), shown);
    if (type === "IEND") return;
  }
}

/**
 * Returns the chunk with its text replaced. A chunk that breaks off, or whose text does not change, is returned as it
 * is.
 */
function renamed(chunk: Buffer, shown: (text: string) => string): Buffer {
  const end = headBytes + chunk.readUInt32BE(0);
  if (chunk.length < end + checksumBytes) return chunk;
  // Latin-1 keeps every byte, and the names that are replaced are ASCII.
  const before = chunk.toString("latin1", headBytes, end);
  const after = shown(before);
  if (after === before) return chunk;
  const body = Buffer.concat([chunk.subarray(4, headBytes), Buffer.from(after, "latin1")]);
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(checksumBytes)];
  length.writeUInt32BE(body.length - 4);
  checksum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, checksum]);
}
