import { type Pixels } from "./png.ts";

/** An OpenEXR file: one part, scan lines, not compressed, three channels of 32-bit floats in linear light. */
export function encodeExr({ width, height, rgb }: Pixels): Buffer {
  const header = Buffer.concat([
    Buffer.from([0x76, 0x2f, 0x31, 0x01, 2, 0, 0, 0]),
    attribute("channels", "chlist", Buffer.concat([...["B", "G", "R"].map(channel), Buffer.from([0])])),
    attribute("compression", "compression", Buffer.from([0])),
    attribute("dataWindow", "box2i", numbers(0, 0, width - 1, height - 1)),
    attribute("displayWindow", "box2i", numbers(0, 0, width - 1, height - 1)),
    attribute("lineOrder", "lineOrder", Buffer.from([0])),
    attribute("pixelAspectRatio", "float", floats(1)),
    attribute("screenWindowCenter", "v2f", floats(0, 0)),
    attribute("screenWindowWidth", "float", floats(1)),
    Buffer.from([0]),
  ]);
  const lineBytes = 8 + width * 12;
  const body = Buffer.alloc(height * (8 + lineBytes));
  const linesAt = header.length + height * 8;
  for (let y = 0; y < height; y += 1) {
    body.writeBigUInt64LE(BigInt(linesAt + y * lineBytes), y * 8);
    let at = height * 8 + y * lineBytes;
    at = body.writeInt32LE(y, at);
    at = body.writeInt32LE(width * 12, at);
    for (const offset of [2, 1, 0]) {
      for (let x = 0; x < width; x += 1) {
        at = body.writeFloatLE(linear((rgb[(y * width + x) * 3 + offset] ?? 0) / 255), at);
      }
    }
  }
  return Buffer.concat([header, body]);
}

function attribute(name: string, type: string, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${name}\0${type}\0`), numbers(value.length), value]);
}

/** A channel: name, 32-bit float, no perceptual flag, no subsampling. */
function channel(name: string): Buffer {
  return Buffer.concat([Buffer.from(`${name}\0`), numbers(2, 0, 1, 1)]);
}

function numbers(...values: number[]): Buffer {
  const buffer = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => buffer.writeInt32LE(value, index * 4));
  return buffer;
}

function floats(...values: number[]): Buffer {
  const buffer = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => buffer.writeFloatLE(value, index * 4));
  return buffer;
}

function linear(value: number): number {
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
}
