import { type ByteReader } from "./byte-reader.ts";

const signatureBytes = 8;
/** Length and type before a chunk's data, and the checksum after it. */
const headBytes = 8;
const checksumBytes = 4;

/** Chunks that hold texts or a camera's notes; `comf` is where ComfyUI's animated PNG keeps the graph. */
const droppedTypes = new Set(["tEXt", "zTXt", "iTXt", "eXIf", "comf"]);

/** Leaves chunks of texts out. What follows the end is not a chunk any more, and passes. */
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
