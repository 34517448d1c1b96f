import { crc32, createDeflateRaw } from "node:zlib";
import { Readable } from "node:stream";

/** One file of a zip. */
export interface ZipEntry {
  /** With slashes between folders. */
  name: string;
  modifiedAt: Date;
  /** Read once, when the entries before it were written. */
  content: AsyncIterable<Buffer>;
  /** Absent = not known before the content was read. */
  bytes?: number;
  /** Media files are stored as they are, since they are compressed already. */
  isDeflated?: true;
}

/** Where the directory waits, which a zip has at its end. */
export interface ZipDirectory {
  readonly bytes: number;
  write(record: Buffer): Promise<void>;
  read(): AsyncIterable<Buffer>;
}

/**
 * Writes a zip (APPNOTE 6.3, with ZIP64 where it is needed) while it is read: any number of entries of any size in constant
 * memory. It stops reading when nobody reads it. If an entry cannot be read whole, the zip ends with that error, without
 * the directory, so that no program takes it for a whole one.
 */
export async function* zipOf(
  entries: AsyncIterable<ZipEntry>,
  directory: ZipDirectory,
): AsyncGenerator<Buffer> {
  let offset = 0;
  let count = 0;
  for await (const entry of entries) {
    const name = Buffer.from(entry.name);
    if (name.length === 0 || name.length > uint16Max) throw new Error("A zip cannot have this name.");
    const isLarge = (entry.bytes ?? Infinity) >= zip64From;
    const head = localHeader(entry, name, isLarge);
    const written: Written = { ...{ offset, crc: 0, bytes: 0, stored: 0 }, isLarge };
    yield head;
    for await (const chunk of storedContent(entry, written)) {
      written.stored += chunk.length;
      yield chunk;
    }
    const tail = dataDescriptor(written);
    yield tail;
    offset += head.length + written.stored + tail.length;
    count += 1;
    await directory.write(directoryRecord(entry, name, written));
  }
  yield* directory.read();
  yield endOfDirectory({ count, offset, bytes: directory.bytes });
}

const uint16Max = 0xffff;
const uint32Max = 0xffffffff;
/** From this size on, 32 bits are not enough: the highest value says that 64 bits stand elsewhere. */
const zip64From = uint32Max;
/** Names are UTF-8; checksum and sizes follow the content. */
const flags = 0x0808;
/** 4.5: the first version with ZIP64. */
const versionNeeded = 45;
/** Made on Unix, so that the mode of the file counts. */
const versionMadeBy = (3 << 8) | versionNeeded;
const fileMode = (0o100644 << 16) >>> 0;

interface Written {
  offset: number;
  crc: number;
  bytes: number;
  stored: number;
  isLarge: boolean;
}

function storedContent({ content, isDeflated }: ZipEntry, written: Written): AsyncIterable<Buffer> {
  const measured = measure(content, written);
  if (isDeflated !== true) return measured;
  const source = Readable.from(measured, { objectMode: false });
  const deflated = createDeflateRaw();
  source.once("error", (error) => deflated.destroy(error));
  deflated.once("close", () => source.destroy());
  return source.pipe(deflated);
}

async function* measure(content: AsyncIterable<Buffer>, written: Written): AsyncGenerator<Buffer> {
  for await (const chunk of content) {
    written.crc = crc32(chunk, written.crc);
    written.bytes += chunk.length;
    yield chunk;
  }
}

function localHeader(entry: ZipEntry, name: Buffer, isLarge: boolean): Buffer {
  // With 64 bits, the fields of 32 say so, and the extra field stands for the sizes that follow the content.
  const extra = isLarge ? zip64Extra([0, 0]) : Buffer.alloc(0);
  const header = Buffer.alloc(30);
  header.writeUInt32LE(0x04034b50, 0);
  header.writeUInt16LE(versionNeeded, 4);
  header.writeUInt16LE(flags, 6);
  header.writeUInt16LE(methodOf(entry), 8);
  header.writeUInt32LE(dosTimeOf(entry.modifiedAt), 10);
  header.writeUInt32LE(isLarge ? uint32Max : 0, 18);
  header.writeUInt32LE(isLarge ? uint32Max : 0, 22);
  header.writeUInt16LE(name.length, 26);
  header.writeUInt16LE(extra.length, 28);
  return Buffer.concat([header, name, extra]);
}

function dataDescriptor({ crc, stored, bytes, isLarge }: Written): Buffer {
  const descriptor = Buffer.alloc(isLarge ? 24 : 16);
  descriptor.writeUInt32LE(0x08074b50, 0);
  descriptor.writeUInt32LE(crc, 4);
  if (isLarge) {
    descriptor.writeBigUInt64LE(BigInt(stored), 8);
    descriptor.writeBigUInt64LE(BigInt(bytes), 16);
  } else {
    // An entry that says that it is small, and is not, is refused.
    descriptor.writeUInt32LE(stored, 8);
    descriptor.writeUInt32LE(bytes, 12);
  }
  return descriptor;
}

function directoryRecord(entry: ZipEntry, name: Buffer, { crc, stored, bytes, offset }: Written): Buffer {
  const isLarge = Math.max(stored, bytes, offset) >= zip64From;
  const extra = isLarge ? zip64Extra([bytes, stored, offset]) : Buffer.alloc(0);
  const in32 = (value: number): number => (isLarge ? uint32Max : value);
  const record = Buffer.alloc(46);
  record.writeUInt32LE(0x02014b50, 0);
  record.writeUInt16LE(versionMadeBy, 4);
  record.writeUInt16LE(versionNeeded, 6);
  record.writeUInt16LE(flags, 8);
  record.writeUInt16LE(methodOf(entry), 10);
  record.writeUInt32LE(dosTimeOf(entry.modifiedAt), 12);
  record.writeUInt32LE(crc, 16);
  record.writeUInt32LE(in32(stored), 20);
  record.writeUInt32LE(in32(bytes), 24);
  record.writeUInt16LE(name.length, 28);
  record.writeUInt16LE(extra.length, 30);
  record.writeUInt32LE(fileMode, 38);
  record.writeUInt32LE(in32(offset), 42);
  return Buffer.concat([record, name, extra]);
}

function zip64Extra(values: readonly number[]): Buffer {
  const extra = Buffer.alloc(4 + 8 * values.length);
  extra.writeUInt16LE(1, 0);
  extra.writeUInt16LE(8 * values.length, 2);
  for (const [index, value] of values.entries()) extra.writeBigUInt64LE(BigInt(value), 4 + 8 * index);
  return extra;
}

function endOfDirectory({ count, offset, bytes }: { count: number; offset: number; bytes: number }): Buffer {
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(Math.min(count, uint16Max), 8);
  end.writeUInt16LE(Math.min(count, uint16Max), 10);
  end.writeUInt32LE(Math.min(bytes, uint32Max), 12);
  end.writeUInt32LE(Math.min(offset, uint32Max), 16);
  const isLarge = count >= uint16Max || Math.max(offset, bytes) >= zip64From;
  return isLarge ? Buffer.concat([zip64End({ count, offset, bytes }), end]) : end;
}

function zip64End({ count, offset, bytes }: { count: number; offset: number; bytes: number }): Buffer {
  const end = Buffer.alloc(76);
  end.writeUInt32LE(0x06064b50, 0);
  end.writeBigUInt64LE(44n, 4);
  end.writeUInt16LE(versionMadeBy, 12);
  end.writeUInt16LE(versionNeeded, 14);
  end.writeBigUInt64LE(BigInt(count), 24);
  end.writeBigUInt64LE(BigInt(count), 32);
  end.writeBigUInt64LE(BigInt(bytes), 40);
  end.writeBigUInt64LE(BigInt(offset), 48);
  // The locator.
  end.writeUInt32LE(0x07064b50, 56);
  end.writeBigUInt64LE(BigInt(offset + bytes), 64);
  end.writeUInt32LE(1, 72);
  return end;
}

function methodOf({ isDeflated }: ZipEntry): number {
  return isDeflated === true ? 8 : 0;
}

/** Date and time as MS-DOS has them, in UTC; from 1980 to 2107. */
function dosTimeOf(date: Date): number {
  const year = Math.min(Math.max(date.getUTCFullYear(), 1980), 2107) - 1980;
  const day = (year << 9) | ((date.getUTCMonth() + 1) << 5) | date.getUTCDate();
  const time = (date.getUTCHours() << 11) | (date.getUTCMinutes() << 5) | (date.getUTCSeconds() >> 1);
  return ((day << 16) | time) >>> 0;
}
