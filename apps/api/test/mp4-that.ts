/** What the headers of an MP4 say, whatever its content is. */
export interface Mp4Claims {
  width: number;
  height: number;
  /** As the table of times says. */
  samples: number;
  /** Ticks of 1/1000 s that each sample takes. */
  ticks: number;
  /** As the track and the film say; what the samples take unless it is given. */
  durationMs: number;
  /** As the track is shown. */
  shownWidth: number;
  codec: string;
  /** Entries for the same codec. */
  encodings: number;
  /** Edits that show all of the track. */
  edits: number;
  /** Boxes before, inside or after the table of contents. */
  extraTop: Buffer;
  extraInMoov: Buffer;
}

/** An MP4 that claims what it is told to claim and has no pictures: small, and possibly a bomb. */
export function mp4That(claims: Partial<Mp4Claims> = {}): Buffer<ArrayBuffer> {
  const {
    width = 64,
    height = 48,
    samples = 8,
    ticks = 125,
    codec = "avc1",
    encodings = 1,
    edits = 0,
  } = claims;
  const { durationMs = Math.min(samples * ticks, 2 ** 32 - 2), shownWidth = width } = claims;
  const { extraTop = Buffer.alloc(0), extraInMoov = Buffer.alloc(0) } = claims;
  const entry = box(codec, Buffer.alloc(24), u16(width), u16(height), Buffer.alloc(50));
  const stbl = box(
    "stbl",
    box("stsd", u32(0, encodings), ...Array.from({ length: encodings }, () => entry)),
    box("stts", u32(0, 1, samples, ticks)),
    box("stsz", u32(0, 1, samples)),
  );
  const mdia = box(
    "mdia",
    box("mdhd", u32(0, 0, 0, 1000, durationMs, 0)),
    box("hdlr", u32(0, 0), Buffer.from("vide"), Buffer.alloc(13)),
    box("minf", stbl),
  );
  const tkhd = box("tkhd", Buffer.alloc(76), u32(shownWidth * 65_536, height * 65_536));
  const edit = Array.from({ length: edits }, () => [durationMs, 0, 65_536]).flat();
  const edts = edits === 0 ? Buffer.alloc(0) : box("edts", box("elst", u32(0, edits, ...edit)));
  const mvhd = box("mvhd", u32(0, 0, 0, 1000, durationMs), Buffer.alloc(80));
  return Buffer.concat([
    box("ftyp", Buffer.from("isom\0\0\x02\0isomiso2mp41", "latin1")),
    extraTop,
    box("moov", mvhd, box("trak", tkhd, edts, mdia), extraInMoov),
    box("mdat", Buffer.alloc(16)),
  ]);
}

export function box(type: string, ...contents: Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  return Buffer.concat([u32(content.length + 8), Buffer.from(type, "latin1"), content]);
}

function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value, 4 * index);
  return bytes;
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}
