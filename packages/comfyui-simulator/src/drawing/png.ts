import { crc32, deflateSync } from "node:zlib";
import { type FlatPicture } from "./picture.ts";

/** Pixels of one picture: three bytes each, row by row. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
}

/** Text to keep inside a PNG, by key; the server puts the graph under `prompt` (PROTOCOL 7). */
export type PngTexts = ReadonlyMap<string, string>;

const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** Writes a PNG of 8-bit RGB. */
export function encodePng(pixels: Pixels, texts: PngTexts, level: number): Buffer {
  return Buffer.concat([
    signature,
    header(pixels),
    ...textChunks(texts),
    chunk("IDAT", deflateSync(filtered(pixels), { level })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

/** The same for a picture of one colour, without making its pixels: every row equals the one above. */
export function encodeFlatPng(picture: FlatPicture, texts: PngTexts): Buffer {
  const { width, height } = picture;
  const rows = Buffer.alloc(height * (width * 3 + 1));
  const first = filtered(flatPixels({ ...picture, height: 1 }));
  rows.set(first);
  for (let at = first.length; at < rows.length; at += first.length) rows[at] = 2;
  return Buffer.concat([
    signature,
    header(picture),
    ...textChunks(texts),
    chunk("IDAT", deflateSync(rows, { level: 1 })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

/** Writes an animated PNG that plays for ever; all frames must have the size of the first. */
export function encodeAnimatedPng(
  frames: readonly Pixels[],
  framesPerSecond: number,
  texts: PngTexts,
  level: number,
): Buffer {
  const [first] = frames;
  if (!first) throw new RangeError("an animation needs a frame");
  const control = Buffer.alloc(8);
  control.writeUInt32BE(frames.length, 0);
  const parts = [signature, header(first), ...textChunks(texts), chunk("acTL", control)];
  let sequence = 0;
  frames.forEach((frame, index) => {
    parts.push(chunk("fcTL", frameControl(frame, sequence++, Math.round(1_000 / framesPerSecond))));
    const data = deflateSync(filtered(frame), { level });
    if (index === 0) parts.push(chunk("IDAT", data));
    else {
      const number = Buffer.alloc(4);
      number.writeUInt32BE(sequence++, 0);
      parts.push(chunk("fdAT", Buffer.concat([number, data])));
    }
  });
  parts.push(chunk("IEND", Buffer.alloc(0)));
  return Buffer.concat(parts);
}

export function flatPixels(picture: FlatPicture): Pixels {
  const { width, height, color } = picture;
  const rgb = new Uint8Array(width * height * 3);
  const [red, green, blue] = [(color >> 16) & 0xff, (color >> 8) & 0xff, color & 0xff];
  for (let at = 0; at < rgb.length; at += 3) {
    rgb[at] = red;
    rgb[at + 1] = green;
    rgb[at + 2] = blue;
  }
  return { width, height, rgb };
}

function header(pixels: { width: number; height: number }): Buffer {
  const data = Buffer.alloc(13);
  data.writeUInt32BE(pixels.width, 0);
  data.writeUInt32BE(pixels.height, 4);
  data.set([8, 2, 0, 0, 0], 8);
  return chunk("IHDR", data);
}

function frameControl(frame: Pixels, sequence: number, delayMs: number): Buffer {
  const data = Buffer.alloc(26);
  data.writeUInt32BE(sequence, 0);
  data.writeUInt32BE(frame.width, 4);
  data.writeUInt32BE(frame.height, 8);
  data.writeUInt16BE(delayMs, 20);
  data.writeUInt16BE(1_000, 22);
  return data;
}

/** Latin-1 text as `tEXt`, anything else as uncompressed `iTXt`. */
function textChunks(texts: PngTexts): Buffer[] {
  return [...texts].map(([key, text]) => {
    const isLatin = Buffer.from(text, "latin1").toString("latin1") === text;
    return isLatin
      ? chunk("tEXt", Buffer.concat([Buffer.from(`${key}\0`, "latin1"), Buffer.from(text, "latin1")]))
      : chunk("iTXt", Buffer.concat([Buffer.from(`${key}\0\0\0\0\0`, "latin1"), Buffer.from(text, "utf8")]));
  });
}

/** Every row as its difference from the row above, which suits drawn pictures and costs little. */
function filtered({ width, height, rgb }: Pixels): Buffer {
  const stride = width * 3;
  const rows = Buffer.allocUnsafe(height * (stride + 1));
  for (let y = 0; y < height; y += 1) {
    const to = y * (stride + 1);
    const from = y * stride;
    if (y === 0) {
      rows[to] = 0;
      rows.set(rgb.subarray(0, stride), to + 1);
      continue;
    }
    rows[to] = 2;
    for (let x = 0; x < stride; x += 1) {
      rows[to + 1 + x] = ((rgb[from + x] ?? 0) - (rgb[from - stride + x] ?? 0)) & 0xff;
    }
  }
  return rows;
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length, 0);
  body.copy(framed, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}
