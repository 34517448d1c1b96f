/** The head of a box of an ISO media file: its size and type; a long one has a 64-bit size (ISO/IEC 14496-12, 4.2). */
export interface BoxHead {
  type: string;
  headBytes: number;
  /** All of the box. */
  bytes: number;
}

export const longHeadBytes = 16;

/**
 * Reads the head of a box.
 * @param left the bytes up to the end of what holds the box, the box included
 * @returns `undefined` when the box does not fit
 */
export function readBoxHead(head: Buffer, left: number): BoxHead | undefined {
  if (head.length < 8) return undefined;
  const type = head.toString("latin1", 4, 8);
  const short = head.readUInt32BE(0);
  if (short === 1 && head.length < longHeadBytes) return undefined;
  const headBytes = short === 1 ? longHeadBytes : 8;
  // A size of 0 stands for the rest.
  const bytes = short === 0 ? left : short === 1 ? Number(head.readBigUInt64BE(8)) : short;
  return bytes < headBytes || bytes > left ? undefined : { type, headBytes, bytes };
}

/** A box within a box that is in memory. */
export interface Box {
  type: string;
  content: Buffer;
}

/** A box of a camera or an encoder holds some ten others. Very many empty ones would keep the process busy. */
const boxesMax = 200;

/** @throws RangeError when the boxes do not fill their place exactly, or are too many */
export function* boxesIn(content: Buffer): Generator<Box> {
  for (let at = 0, count = 0; at < content.length; count += 1) {
    if (count === boxesMax) throw new RangeError(`There are more than ${boxesMax} boxes in one.`);
    const head = readBoxHead(content.subarray(at, at + longHeadBytes), content.length - at);
    if (head === undefined) throw new RangeError(`There is no whole box at byte ${at}.`);
    yield { type: head.type, content: content.subarray(at + head.headBytes, at + head.bytes) };
    at += head.bytes;
  }
}

/** The content of the first box on a way of types; `undefined` = there is none. */
export function contentAt(content: Buffer, [type, ...rest]: readonly string[]): Buffer | undefined {
  if (type === undefined) return content;
  for (const box of boxesIn(content)) if (box.type === type) return contentAt(box.content, rest);
  return undefined;
}
