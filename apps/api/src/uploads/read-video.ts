import { open, type FileHandle } from "node:fs/promises";
import { types } from "node:util";
import { boxesIn, contentAt, longHeadBytes, readBoxHead, type Box } from "./iso-boxes.ts";
import { assertWithinLimits, type Measures } from "./upload-limits.ts";
import { RefusedError } from "../http/problem-document.ts";

/** A minute of video has some 20 kB of tables. */
const moovBytesMax = 8 * 1024 * 1024;
const topBoxesMax = 1_000;
/** Each edit may show a part of the video once more. */
const editsMax = 32;
const tracksMax = 16;
/** Ways in which the pictures of a track are encoded; nearly always one. */
const encodingsMax = 16;

/** Pictures in a file that only the boxes around them describe, as all of these do; Motion JPEG and the like are not. */
const codecs = new Set(["avc1", "avc3", "hvc1", "hev1", "av01", "vp09", "mp4v"]);

/**
 * Reads what the headers of an MP4 say. No frame is decoded; nothing is read but the heads of the boxes and the tables,
 * which are bounded. Of values that say the same in two places the larger one counts, since players differ in which one
 * they believe.
 * @throws RefusedError `invalid-video`
 */
export async function readVideo(path: string): Promise<Measures> {
  const handle = await open(path);
  try {
    const measures = measuresOf(await readMoov(handle));
    assertWithinLimits(measures, "invalid-video");
    return measures;
  } catch (error) {
    // Reads beyond the end of a box that is too short for its type.
    if (!types.isNativeError(error) || error.name !== "RangeError") throw error;
    throw broken("its tables are not whole", error);
  } finally {
    await handle.close();
  }
}

async function readMoov(handle: FileHandle): Promise<Buffer> {
  const { size } = await handle.stat();
  let moov: Buffer | undefined;
  let hasContent = false;
  let at = 0;
  for (let count = 0; at < size; count += 1) {
    if (count === topBoxesMax) throw broken("it has too many parts");
    const head = readBoxHead(await readAt(handle, at, longHeadBytes), size - at);
    if (head === undefined) throw broken("it ends too soon");
    const { type, headBytes, bytes } = head;
    if (type === "moof") throw fragmented();
    if (type === "mdat") hasContent = true;
    if (type === "moov") {
      if (moov !== undefined) throw broken("it has two tables of contents");
      if (bytes > moovBytesMax) throw broken(`its tables have ${bytes} bytes, of at most ${moovBytesMax}`);
      moov = await readAt(handle, at + headBytes, bytes - headBytes);
    }
    at += bytes;
  }
  if (moov === undefined || !hasContent) throw broken("it has no content, or no tables");
  return moov;
}

function measuresOf(moov: Buffer): Measures {
  let duration = 0;
  let scale = 1;
  const traks: Buffer[] = [];
  for (const { type, content } of boxesIn(moov)) {
    if (type === "mvex") throw fragmented();
    if (type === "cmov") throw broken("its tables are compressed");
    if (type === "mvhd") [scale, duration] = readTimes(content);
    if (type === "trak") traks.push(content);
    if (traks.length > tracksMax) throw broken(`it has more than ${tracksMax} tracks`);
  }
  const tracks = traks.map((trak) => readTrack(trak, scale));
  const pictures = tracks.flatMap(({ picture }) => picture ?? []);
  if (pictures.length === 0) throw broken("it has no pictures");
  const most = (values: number[]): number => Math.max(...values);
  return {
    width: most(pictures.map(({ width }) => width)),
    height: most(pictures.map(({ height }) => height)),
    frames: most(pictures.map(({ frames }) => frames)),
    durationMs: Math.max(
      1,
      Math.round(most([duration / scale, ...tracks.map(({ seconds }) => seconds)]) * 1000),
    ),
  };
}

interface Track {
  seconds: number;
  picture: { width: number; height: number; frames: number } | null;
}

/** @param scale of the whole film, in which edits are counted */
function readTrack(trak: Buffer, scale: number): Track {
  const mdhd = contentAt(trak, ["mdia", "mdhd"]);
  const handler = contentAt(trak, ["mdia", "hdlr"])?.toString("latin1", 8, 12);
  const stbl = contentAt(trak, ["mdia", "minf", "stbl"]);
  const stts = stbl && contentAt(stbl, ["stts"]);
  const stsd = stbl && contentAt(stbl, ["stsd"]);
  const stsz = stbl && (contentAt(stbl, ["stsz"]) ?? contentAt(stbl, ["stz2"]));
  if (!mdhd || !stts || !stsd || !stsz) throw broken("a track lacks tables");
  const [trackScale, duration] = readTimes(mdhd);
  const timed = readTimesOfSamples(stts);
  const edited = readEdits(contentAt(trak, ["edts", "elst"]));
  const seconds = Math.max(duration / trackScale, timed.duration / trackScale, edited.duration / scale);
  if (handler !== "vide") return { seconds, picture: null };
  const samples = Math.max(timed.samples, stsz.readUInt32BE(8));
  if (samples === 0) throw broken("it has no pictures");
  const sides = readSides(stsd, contentAt(trak, ["tkhd"]));
  // Each edit shows all pictures at most once.
  return { seconds, picture: { ...sides, frames: samples * Math.max(1, edited.count) } };
}

/** `mvhd` and `mdhd`: ticks in a second, and the duration in ticks. All ones stand for an unknown duration. */
function readTimes(content: Buffer): [scale: number, duration: number] {
  const isLong = content.readUInt8(0) === 1;
  const scale = content.readUInt32BE(isLong ? 20 : 12);
  const duration = isLong ? Number(content.readBigUInt64BE(24)) : content.readUInt32BE(16);
  if (scale === 0) throw broken("it has no scale of time");
  const isUnknown = isLong ? content.readBigUInt64BE(24) === 2n ** 64n - 1n : duration === 2 ** 32 - 1;
  return [scale, isUnknown ? 0 : duration];
}

function readTimesOfSamples(stts: Buffer): { samples: number; duration: number } {
  const count = stts.readUInt32BE(4);
  const sums = { samples: 0, duration: 0 };
  for (let at = 8; at < 8 + 8 * count; at += 8) {
    const samples = stts.readUInt32BE(at);
    sums.samples += samples;
    sums.duration += samples * stts.readUInt32BE(at + 4);
  }
  return sums;
}

/** Parts of the track in the order in which they are shown; one without a part is a pause before the first. */
function readEdits(elst: Buffer | undefined): { count: number; duration: number } {
  if (elst === undefined) return { count: 0, duration: 0 };
  const isLong = elst.readUInt8(0) === 1;
  const entries = elst.readUInt32BE(4);
  if (entries > editsMax) throw broken(`a track has ${entries} edits, of at most ${editsMax}`);
  const edits = { count: 0, duration: 0 };
  for (let entry = 0; entry < entries; entry += 1) {
    const at = 8 + entry * (isLong ? 20 : 12);
    edits.duration += isLong ? Number(elst.readBigUInt64BE(at)) : elst.readUInt32BE(at);
    const isPause = isLong ? elst.readBigInt64BE(at + 8) === -1n : elst.readInt32BE(at + 4) === -1;
    if (!isPause) edits.count += 1;
  }
  return edits;
}

/** Of what the pictures are encoded in, and of the track as it is shown. */
function readSides(stsd: Buffer, tkhd: Buffer | undefined): { width: number; height: number } {
  const count = stsd.readUInt32BE(4);
  if (count > encodingsMax) throw broken(`a track has ${count} encodings, of at most ${encodingsMax}`);
  const entries: Box[] = [];
  for (const entry of boxesIn(stsd.subarray(8))) {
    if (entries.push(entry) > encodingsMax) throw broken(`a track has more than ${encodingsMax} encodings`);
  }
  if (entries.length === 0 || tkhd === undefined) throw broken("a track lacks tables");
  const sides = entries.map(({ type, content }) => {
    if (!codecs.has(type)) {
      const known = [...codecs].join(", ");
      throw broken(`its pictures are ${JSON.stringify(type)}; they must be one of ${known}`);
    }
    return { width: content.readUInt16BE(24), height: content.readUInt16BE(26) };
  });
  const isLong = tkhd.readUInt8(0) === 1;
  const shown = { width: tkhd.readUInt16BE(isLong ? 88 : 76), height: tkhd.readUInt16BE(isLong ? 92 : 80) };
  return {
    width: Math.max(shown.width, ...sides.map(({ width }) => width)),
    height: Math.max(shown.height, ...sides.map(({ height }) => height)),
  };
}

async function readAt(handle: FileHandle, position: number, bytes: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(bytes), 0, bytes, position);
  return buffer.subarray(0, bytesRead);
}

function broken(why: string, cause?: unknown): RefusedError {
  return new RefusedError("invalid-video", `The video cannot be used: ${why}.`, { cause });
}

/** Its length shows only once all of it was read. */
function fragmented(): RefusedError {
  return broken(
    "it is fragmented; write it with one table of contents (ffmpeg -c copy -movflags +faststart)",
  );
}
