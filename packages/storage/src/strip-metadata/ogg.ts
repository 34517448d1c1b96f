import { type ByteReader } from "./byte-reader.ts";

const pageHeadBytes = 27;
const checksumAt = 22;
const continuedFlag = 1;
/** Comments begin on the second page. After this many pages the search for their end stops. */
const pagesMax = 1_000;

/**
 * Writes zeros over the comments, which are the second packet of Opus and of Vorbis, and corrects the checksums of the
 * pages that it lies on. The packet keeps its length; its list of comments is empty.
 */
export async function* stripOgg(reader: ByteReader): AsyncGenerator<Buffer> {
  let comments: Comments | undefined;
  for (let pages = 0; pages < pagesMax; pages += 1) {
    const page = await takePage(reader);
    if (page === undefined) return;
    let isChanged = false;
    let hasEnded = false;
    for (const { data, isContinued, isComplete } of partsOf(page)) {
      if (!isContinued) comments = beginOfComments(data);
      if (comments === undefined) continue;
      blank(data, comments);
      isChanged = true;
      if (!isComplete) continue;
      comments = undefined;
      hasEnded = true;
    }
    if (isChanged) correctChecksum(page);
    yield page;
    if (hasEnded) return;
  }
}

interface Comments {
  /** The bytes at the packet's beginning that stay: its mark and the name of the encoder. */
  keptBytes: number;
  /** Whether the list of comments ends with a set bit, as in Vorbis. */
  hasEndBit: boolean;
  /** The bytes of the packet that were already processed. */
  seenBytes: number;
}

function beginOfComments(packet: Buffer): Comments | undefined {
  const mark = ["OpusTags", "\x03vorbis"].find((each) => packet.toString("latin1", 0, each.length) === each);
  if (mark === undefined || packet.length < mark.length + 4) return undefined;
  const keptBytes = mark.length + 4 + packet.readUInt32LE(mark.length);
  return { keptBytes, hasEndBit: mark !== "OpusTags", seenBytes: 0 };
}

function blank(data: Buffer, comments: Comments): void {
  const from = comments.keptBytes - comments.seenBytes;
  data.fill(0, Math.min(Math.max(0, from), data.length));
  const endBitAt = from + 4;
  if (comments.hasEndBit && endBitAt >= 0 && endBitAt < data.length) data.writeUInt8(1, endBitAt);
  comments.seenBytes += data.length;
}

/** Takes the next page as a copy, because the caller changes it. */
async function takePage(reader: ByteReader): Promise<Buffer | undefined> {
  const head = await reader.peek(pageHeadBytes);
  if (head.length < pageHeadBytes || head.toString("latin1", 0, 4) !== "OggS") return undefined;
  const segments = head.readUInt8(26);
  const whole = await reader.peek(pageHeadBytes + segments);
  const bytes = whole.subarray(pageHeadBytes).reduce((sum, segment) => sum + segment, 0);
  const page = await reader.peek(pageHeadBytes + segments + bytes);
  await reader.skip(page.length);
  // A page that breaks off cannot be played, and it may hold comments, so it is left out.
  return page.length < pageHeadBytes + segments + bytes ? undefined : Buffer.from(page);
}

interface Part {
  data: Buffer;
  /** Whether the part continues a packet that began on an earlier page. */
  isContinued: boolean;
  isComplete: boolean;
}

/** Splits a page into parts of packets. A packet consists of segments of 255 bytes and ends with a shorter one. */
function partsOf(page: Buffer): Part[] {
  const segments = page.readUInt8(26);
  const parts: Part[] = [];
  let start = pageHeadBytes + segments;
  let bytes = 0;
  for (let index = 0; index < segments; index += 1) {
    const segment = page.readUInt8(pageHeadBytes + index);
    bytes += segment;
    const isComplete = segment < 255;
    if (!isComplete && index < segments - 1) continue;
    const isContinued = parts.length === 0 && (page.readUInt8(5) & continuedFlag) !== 0;
    parts.push({ data: page.subarray(start, start + bytes), isContinued, isComplete });
    start += bytes;
    bytes = 0;
  }
  return parts;
}

const polynomial = 0x04c11db7;
const checksums = Array.from({ length: 256 }, (_unused, byte) => {
  let sum = byte << 24;
  for (let bit = 0; bit < 8; bit += 1) sum = (sum << 1) ^ (sum < 0 ? polynomial : 0);
  return sum;
});

/** Writes the checksum of the whole page, which is computed with zeros in the checksum's own place. */
function correctChecksum(page: Buffer): void {
  page.writeUInt32LE(0, checksumAt);
  let sum = 0;
  for (const byte of page) sum = (sum << 8) ^ (checksums[((sum >>> 24) ^ byte) & 0xff] ?? 0);
  page.writeUInt32LE(sum >>> 0, checksumAt);
}
