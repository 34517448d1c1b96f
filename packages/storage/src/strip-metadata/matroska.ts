import { type ByteReader } from "./byte-reader.ts";

const [segment, tags, info] = [0x18538067, 0x1254c367, 0x1549a966];
/** The title inside of `info`, which FFmpeg copies from the metadata. */
const title = 0x7ba9;
const voidId = 0xec;

/** WebM and MKV: turns tags into void elements of the same length, because an index holds positions in the file. */
export async function* stripMatroska(reader: ByteReader): AsyncGenerator<Buffer> {
  for (;;) {
    const element = await peekElement(reader);
    if (element === undefined) return;
    const { id, headBytes, bytes } = element;
    if (id === segment || id === info) {
      yield* reader.pass(headBytes);
    } else if (!Number.isFinite(bytes)) {
      return;
    } else if (id === tags || id === title) {
      await reader.skip(headBytes);
      yield voidHead(headBytes, bytes);
      yield* reader.blank(bytes);
    } else {
      yield* reader.pass(headBytes + bytes);
    }
  }
}

interface Element {
  id: number;
  headBytes: number;
  /** The length of the content; infinite if the writer left it open. */
  bytes: number;
}

/** Reads an element's id and size. Each is a number whose length is shown by the leading zeros of its first byte. */
async function peekElement(reader: ByteReader): Promise<Element | undefined> {
  const head = await reader.peek(12);
  const idBytes = lengthOf(head[0]);
  if (idBytes > 4 || head.length <= idBytes) return undefined;
  const sizeBytes = lengthOf(head[idBytes]);
  if (sizeBytes > 8 || head.length < idBytes + sizeBytes) return undefined;
  const raw = BigInt(`0x${head.toString("hex", idBytes, idBytes + sizeBytes)}`);
  const mask = (1n << BigInt(7 * sizeBytes)) - 1n;
  const size = raw & mask;
  return {
    id: head.readUIntBE(0, idBytes),
    headBytes: idBytes + sizeBytes,
    bytes: size === mask ? Number.POSITIVE_INFINITY : Number(size),
  };
}

function lengthOf(byte = 0): number {
  return Math.clz32(byte) - 24 + 1;
}

/**
 * The head of a void element with the same total length as another element: the size is written in the bytes that are
 * left.
 */
function voidHead(headBytes: number, bytes: number): Buffer {
  const sizeBytes = Math.min(headBytes - 1, 8);
  const head = Buffer.alloc(headBytes);
  head.writeUInt8(voidId, 0);
  const size = BigInt(bytes + headBytes - 1 - sizeBytes) | (1n << BigInt(7 * sizeBytes));
  head.write(size.toString(16).padStart(2 * sizeBytes, "0"), 1, "hex");
  return head;
}
