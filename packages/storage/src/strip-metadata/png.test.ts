import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { crc32 } from "node:zlib";
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import sharp from "sharp";
import { renameInMetadata, stripMetadata } from "./strip-metadata.ts";

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, checksum]);
}

const text = (keyword: string, value: string): Buffer => Buffer.from(`${keyword}\0${value}`, "latin1");
const noise = Buffer.from(Array.from({ length: 40 * 30 * 3 }, (_unused, index) => (index * 7919) % 251));
const plain = await sharp(noise, { raw: { width: 40, height: 30, channels: 3 } })
  .png()
  .toBuffer();
const headEnd = 8 + 25;
const endStart = plain.length - 12;
/** As ComfyUI writes them: texts behind the header, and more of them before the end. */
const marked = Buffer.concat([
  plain.subarray(0, headEnd),
  chunk("tEXt", text("prompt", JSON.stringify({ "1": { text: "IEND secret" } }).repeat(100))),
  chunk("tEXt", text("workflow", "{}")),
  chunk("iTXt", Buffer.from("note\0\0\0\0\0猫", "utf8")),
  chunk("zTXt", text("zipped", "\0x")),
  chunk("eXIf", Buffer.from("MM")),
  plain.subarray(headEnd, endStart),
  chunk("comf", text("prompt", "{}")),
  plain.subarray(endStart),
]);

async function strip(pieces: Buffer[]): Promise<Buffer> {
  return buffer(stripMetadata(Readable.from(pieces)));
}

/** The bytes in pieces that end at these places. */
function cut(bytes: Buffer, places: number[]): Buffer[] {
  const ends = [...new Set([...places.map((place) => place % bytes.length), bytes.length])].sort(
    (one, other) => one - other,
  );
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

test("the texts are gone and every other byte is as it was, however the file comes in pieces", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(), { maxLength: 200 }), async (places) => {
      expect((await strip(cut(marked, places))).equals(plain)).toBe(true);
    }),
    { numRuns: 100 },
  );
  expect((await strip([...marked].map((byte) => Buffer.from([byte])))).equals(plain)).toBe(true);
  expect(
    await sharp(await strip([marked]))
      .raw()
      .toBuffer(),
  ).toEqual(noise);
});

test("what is no PNG passes as it is, and so does what follows a PNG's end", async () => {
  for (const bytes of [Buffer.from("tEXt"), Buffer.from([0x89, 0x50]), Buffer.alloc(0)]) {
    expect((await strip([bytes])).equals(bytes)).toBe(true);
  }
  const tail = chunk("tEXt", text("after", "the end"));
  expect((await strip([marked, tail])).equals(Buffer.concat([plain, tail]))).toBe(true);
});

test("a file that breaks off ends where it does", async () => {
  for (const length of [3, 10, 20, 35, 60, plain.length - 5]) {
    expect((await strip([plain.subarray(0, length)])).equals(plain.subarray(0, length))).toBe(true);
  }
});

test("names in the texts are replaced, and the file stays one that every reader takes", async () => {
  const shown = (value: string): string => value.replaceAll("secret", "a name of another length");
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(), { maxLength: 200 }), async (places) => {
      const renamed = await buffer(renameInMetadata(Readable.from(cut(marked, places)), shown));
      expect(renamed.includes("secret")).toBe(false);
      expect((await strip([renamed])).equals(plain)).toBe(true);
      const { comments } = await sharp(renamed).metadata();
      expect(comments?.find(({ keyword }) => keyword === "prompt")?.text).toContain(
        "IEND a name of another length",
      );
    }),
    { numRuns: 30 },
  );
});

test("a file without the names, or of another kind, stays as it is, also where it breaks off", async () => {
  const rename = async (bytes: Buffer): Promise<Buffer> =>
    buffer(renameInMetadata(Readable.from([bytes]), (value) => value.replaceAll("absent", "x")));
  for (const bytes of [
    marked,
    plain,
    marked.subarray(0, headEnd + 50),
    Buffer.from("absent"),
    Buffer.alloc(0),
  ]) {
    expect((await rename(bytes)).equals(bytes)).toBe(true);
  }
});
