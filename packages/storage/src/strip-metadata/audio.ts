import { type ByteReader } from "./byte-reader.ts";

const [vorbisComment, padding] = [4, 1];

/** Turns the block of comments into padding of the same length. */
export async function* stripFlac(reader: ByteReader): AsyncGenerator<Buffer> {
  yield* reader.pass(4);
  for (let isLast = false; !isLast;) {
    const head = await reader.peek(4);
    const [first] = head;
    if (head.length < 4 || first === undefined) return;
    isLast = (first & 0x80) !== 0;
    const bytes = head.readUIntBE(1, 3);
    if ((first & 0x7f) === vorbisComment) {
      const changed = Buffer.from(await reader.take(4));
      changed.writeUInt8((first & 0x80) | padding, 0);
      yield changed;
      yield* reader.blank(bytes);
    } else yield* reader.pass(4 + bytes);
  }
}

/** Drops the ID3 tag before the sound; MP3 files have one most often. */
export async function skipId3(reader: ByteReader): Promise<void> {
  const head = await reader.peek(10);
  if (head.length < 10) return;
  const hasFooter = (head.readUInt8(5) & 0x10) !== 0;
  // The length has four bytes of seven bits each.
  const bytes = [6, 7, 8, 9].reduce((sum, place) => sum * 128 + (head.readUInt8(place) & 0x7f), 0);
  await reader.skip(10 + bytes + (hasFooter ? 10 : 0));
}
