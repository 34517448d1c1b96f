import { discard, type ByteReader } from "./byte-reader.ts";

const headBytes = 13;
const [extension, image] = [0x21, 0x2c];
const [comment, application] = [0xfe, 0xff];

/** Leaves comments and XMP out. */
export async function* stripGif(reader: ByteReader): AsyncGenerator<Buffer> {
  const head = await reader.take(headBytes);
  yield head;
  yield* reader.pass(tableBytes(head[10]));
  for (;;) {
    const block = await reader.peek(14);
    if (block[0] === extension) {
      const isXmp = block[1] === application && block.toString("latin1", 3, 14) === "XMP DataXMP";
      if (block[1] === comment || isXmp) {
        await reader.skip(2);
        await discard(subBlocks(reader));
      } else {
        yield* reader.pass(2);
        yield* subBlocks(reader);
      }
    } else if (block[0] === image) {
      yield* reader.pass(10 + tableBytes(block[9]) + 1);
      yield* subBlocks(reader);
    } else return;
  }
}

/** The number of bytes of a colour table, by the flags that announce it. */
function tableBytes(flags = 0): number {
  return (flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 7) + 1);
}

/** Yields sub-blocks. Each begins with its length; the last one has length 0. */
async function* subBlocks(reader: ByteReader): AsyncGenerator<Buffer> {
  for (;;) {
    const [bytes = 0] = await reader.peek(1);
    yield* reader.pass(1 + bytes);
    if (bytes === 0) return;
  }
}
