import { deflateSync } from "node:zlib";
import { expect, test } from "@jest/globals";
import { graphOfFile } from "../src/views/create/picture-graph.ts";

const graph = '{"3":{"class_type":"KSampler","inputs":{"seed":18446744073709551615}}}';
const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

function chunk(type: string, content: Buffer, length = content.length): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(length);
  head.write(type, 4, "latin1");
  return Buffer.concat([head, content, Buffer.alloc(4)]);
}

const png = (...chunks: Buffer[]): Blob =>
  new Blob([Buffer.concat([signature, ...chunks, chunk("IEND", Buffer.alloc(0))])]);
const zero = Buffer.from([0]);

test.each([
  ["tEXt", Buffer.concat([Buffer.from("prompt"), zero, Buffer.from(graph)])],
  ["zTXt", Buffer.concat([Buffer.from("prompt"), zero, zero, deflateSync(graph)])],
  ["iTXt", Buffer.concat([Buffer.from("prompt"), Buffer.from([0, 0, 0, 0, 0]), Buffer.from(graph)])],
  ["iTXt", Buffer.concat([Buffer.from("prompt"), Buffer.from([0, 1, 0, 0, 0]), deflateSync(graph)])],
])("a PNG brings its graph by %s", async (type, content) => {
  const file = png(
    chunk("IHDR", Buffer.alloc(13)),
    chunk("IDAT", Buffer.alloc(100_000)),
    chunk(type, content),
  );
  expect(await graphOfFile(file)).toEqual({ graph });
});

test.each([["II"], ["MM"]])("a WebP brings its graph by EXIF (%s)", async (order) => {
  const text = Buffer.from(`prompt:${graph}\0`);
  const exif = Buffer.alloc(8 + 2 + 12 + 4);
  exif.write(order, 0, "latin1");
  const [u16, u32] =
    order === "II"
      ? [exif.writeUInt16LE.bind(exif), exif.writeUInt32LE.bind(exif)]
      : [exif.writeUInt16BE.bind(exif), exif.writeUInt32BE.bind(exif)];
  u16(42, 2);
  u32(8, 4);
  u16(1, 8);
  u16(0x0110, 10);
  u16(2, 12);
  u32(text.length, 14);
  u32(exif.length, 18);
  const content = Buffer.concat([exif, text]);
  const head = Buffer.alloc(8);
  head.write("EXIF", 0, "latin1");
  head.writeUInt32LE(content.length, 4);
  const file = new Blob([Buffer.from("RIFF\0\0\0\0WEBP"), head, content]);
  expect(await graphOfFile(file)).toEqual({ graph });
});

test("JSON is taken as it is", async () => {
  expect(await graphOfFile(new Blob([`\n ${graph}`]))).toEqual({ graph });
});

test.each([
  ["no metadata", png(), /does not say how/],
  [
    "only the editor's form",
    png(chunk("tEXt", Buffer.concat([Buffer.from("workflow"), zero, Buffer.from("{}")]))),
    /editor's form/,
  ],
  [
    "a text that is no graph",
    png(chunk("tEXt", Buffer.concat([Buffer.from("prompt"), zero, Buffer.from("hello")]))),
    /does not say how/,
  ],
  [
    "a length beyond the file",
    new Blob([Buffer.concat([signature, chunk("tEXt", Buffer.from("prompt\0{"), 0xffff_ffff)])]),
    /does not say how/,
  ],
  [
    "a bomb",
    png(
      chunk("zTXt", Buffer.concat([Buffer.from("prompt\0\0"), deflateSync(Buffer.alloc(50_000_000, "{"))])),
    ),
    /does not say how/,
  ],
  ["broken compression", png(chunk("zTXt", Buffer.from("prompt\0\0garbage"))), /does not say how/],
  ["a cut WebP", new Blob([Buffer.from("RIFF\0\0\0\0WEBPEXIF\x10\0\0\0II")]), /does not say how/],
  ["another file", new Blob([Buffer.from("GIF89a")]), /neither/],
  ["an empty file", new Blob([]), /neither/],
])("a file with %s says that there is no graph", async (_name, file, reason) => {
  expect((await graphOfFile(file)).reason).toMatch(reason);
});
