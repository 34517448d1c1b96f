import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import ffmpeg from "@ffmpeg-installer/ffmpeg";
import fc from "fast-check";
import sharp from "sharp";
import { stripMetadata } from "@genga/storage";

const secret = "SECRET-PROMPT";
/** Longer than an Ogg page may be, as graphs often are. */
const graph = JSON.stringify({ "1": { inputs: { text: `${secret} `.repeat(6_000) } } });

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "genga-strip-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function strip(...pieces: Buffer[]): Promise<Buffer> {
  return buffer(stripMetadata(Readable.from(pieces)));
}

function inPieces(bytes: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_unused, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  );
}

const run = promisify(execFile);

/** A film or sound whose container carries the graph as ComfyUI's writers put it there. */
async function made(filename: string, ...options: string[]): Promise<Buffer> {
  const path = join(folder, filename);
  const metadata = join(folder, "metadata.txt");
  await writeFile(metadata, `;FFMETADATA1\nprompt=${graph}\ncomment=${secret}\ntitle=${secret}\n`);
  const isSound = options.includes("-vn");
  const source = isSound ? "sine=duration=1" : "testsrc=duration=1:size=64x48:rate=8";
  const inputs = ["-f", "lavfi", "-i", source, "-i", metadata, "-map_metadata", "1"];
  await run(ffmpeg.path, ["-y", "-loglevel", "error", ...inputs, ...options, path]);
  return readFile(path);
}

/** What a decoder makes of it, frame by frame; it complains of nothing. */
async function decoded(filename: string, bytes: Buffer): Promise<string> {
  const path = join(folder, `decoded-${filename}`);
  await writeFile(path, bytes);
  const { stdout, stderr } = await run(ffmpeg.path, [
    ...["-loglevel", "error", "-i", path, "-f", "framemd5", "-"],
  ]);
  expect(stderr).toBe("");
  return stdout;
}

const films: [filename: string, ...options: string[]][] = [
  ["core.mp4", "-pix_fmt", "yuv420p", "-movflags", "use_metadata_tags"],
  ["fast.mp4", "-pix_fmt", "yuv420p", "-movflags", "use_metadata_tags+faststart"],
  ["suite.mp4", "-pix_fmt", "yuv420p"],
  ["fragments.mp4", "-pix_fmt", "yuv420p", "-movflags", "frag_keyframe+empty_moov"],
  ["film.mov", "-pix_fmt", "yuv420p", "-movflags", "use_metadata_tags"],
  ["core.webm", "-c:v", "libvpx"],
  ["film.mkv", "-pix_fmt", "yuv420p"],
  ["film.avi", "-c:v", "mjpeg", "-pix_fmt", "yuvj420p"],
  ["sound.flac", "-vn"],
  ["sound.mp3", "-vn", "-write_id3v1", "0"],
  ["sound.opus", "-vn", "-c:a", "libopus"],
  ["sound.ogg", "-vn", "-c:a", "libvorbis"],
  ["sound.wav", "-vn"],
  ["sound.m4a", "-vn", "-c:a", "aac"],
];

describe("films and sounds lose their graph, and no frame changes", () => {
  test.each(films)("%s", async (filename, ...options) => {
    const whole = await made(filename, ...options);
    expect(whole.includes(secret)).toBe(true);
    const stripped = await strip(whole);
    expect(stripped.includes(secret)).toBe(false);
    expect(await decoded(filename, stripped)).toBe(await decoded(filename, whole));
    for (const size of [1_000, 4_097])
      expect((await strip(...inPieces(whole, size))).equals(stripped)).toBe(true);
    expect((await strip(stripped)).equals(stripped)).toBe(true);
  });

  test.each(films)("%s that breaks off ends where it does", async (filename, ...options) => {
    const whole = await made(filename, ...options);
    for (const bytes of [1, 4, 9, 30, 45, 100, 600, whole.length - 3]) {
      const stripped = await strip(whole.subarray(0, bytes));
      expect(stripped.length).toBeLessThanOrEqual(bytes);
      expect(stripped.includes(secret)).toBe(false);
    }
  });
});

describe("pictures lose their graph, and no pixel changes", () => {
  const raw = { width: 40, height: 30, channels: 3 } as const;
  const noise = Buffer.from(Array.from({ length: 40 * 30 * 3 }, (_unused, index) => (index * 7919) % 251));
  const pixels = (bytes: Buffer): Promise<Buffer> => sharp(bytes, { pages: -1 }).raw().toBuffer();
  const exif = { IFD0: { Model: `prompt:${graph}`, Make: `workflow:${secret}` } };

  test.each(["webp", "jpeg"] as const)("%s", async (format) => {
    // A segment of a JPEG has 64 kB at most.
    const small = { IFD0: { Model: secret } };
    const picture = sharp(noise, { raw }).withExif(format === "jpeg" ? small : exif);
    const whole = await picture.toFormat(format).toBuffer();
    expect(whole.includes(secret)).toBe(true);
    const stripped = await strip(...inPieces(whole, 777));
    expect(stripped.includes(secret)).toBe(false);
    expect((await pixels(stripped)).equals(await pixels(whole))).toBe(true);
    expect((await sharp(stripped).metadata()).exif).toBeUndefined();
  });

  test("animated WebP", async () => {
    const frames = sharp(noise, { raw: { width: 40, height: 30, channels: 3, pageHeight: 15 } });
    const whole = await frames
      .withExif(exif)
      .webp({ lossless: true, delay: [100, 200] })
      .toBuffer();
    const stripped = await strip(whole);
    expect(stripped.includes(secret)).toBe(false);
    expect(await sharp(stripped).metadata()).toMatchObject({ pages: 2, delay: [100, 200] });
    expect((await pixels(stripped)).equals(await pixels(whole))).toBe(true);
  });

  test("GIF", async () => {
    const plain = await sharp(noise, { raw }).gif().toBuffer();
    const comment = Buffer.from([0x21, 0xfe, secret.length, ...Buffer.from(secret), 0]);
    const tableBytes = (plain[10]! & 0x80) === 0 ? 0 : 3 * 2 ** ((plain[10]! & 7) + 1);
    const at = 13 + tableBytes;
    const whole = Buffer.concat([plain.subarray(0, at), comment, plain.subarray(at)]);
    expect((await strip(...inPieces(whole, 5))).equals(plain)).toBe(true);
  });

  test("SVG", async () => {
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">
  <metadata>
    <![CDATA[ {"prompt": "${secret}"} ]]>
  </metadata><title>原画</title></svg>`;
    expect((await strip(Buffer.from(svg))).toString()).toBe(
      `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">\n  <title>原画</title></svg>`,
    );
  });

  test("EXR", async () => {
    const attribute = (name: string, type: string, value: Buffer): Buffer => {
      const size = Buffer.alloc(4);
      size.writeUInt32LE(value.length);
      return Buffer.concat([Buffer.from(`${name}\0${type}\0`), size, value]);
    };
    const exr = (text: string): Buffer =>
      Buffer.concat([
        Buffer.from([0x76, 0x2f, 0x31, 0x01, 2, 0, 0, 0]),
        attribute("compression", "compression", Buffer.from([0])),
        attribute("type", "string", Buffer.from("scanlineimage")),
        attribute("prompt", "string", Buffer.from(text)),
        attribute("lineOrder", "lineOrder", Buffer.from([0])),
        Buffer.from([0]),
        Buffer.from(`${secret} is what these pixels happen to say`),
      ]);
    expect((await strip(exr(graph))).equals(exr(" ".repeat(graph.length)))).toBe(true);
  });
});

describe("headers of texts", () => {
  const u32 = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
  };

  test("a GLB keeps its meshes and its length", async () => {
    const header = {
      asset: { version: "2.0", generator: "ComfyUI", extras: { prompt: graph } },
      accessors: [{ min: [-0.10000000149011612, 0], max: [1, 2.5] }],
    };
    const json = Buffer.from(JSON.stringify(header));
    const binary = Buffer.concat([u32(4), Buffer.from("BIN\0"), Buffer.from([1, 2, 3, 4])]);
    const glb = Buffer.concat([
      ...[Buffer.from("glTF"), u32(2), u32(20 + json.length + binary.length)],
      ...[u32(json.length), Buffer.from("JSON"), json, binary],
    ]);
    const stripped = await strip(...inPieces(glb, 1_000));
    expect(stripped.length).toBe(glb.length);
    expect(JSON.parse(stripped.subarray(20, 20 + json.length).toString())).toEqual({
      ...header,
      asset: { version: "2.0", generator: "ComfyUI" },
    });
    expect(stripped.subarray(20 + json.length).equals(binary)).toBe(true);
  });

  test("a latent keeps its tensors and its length", async () => {
    const tensors = { latent_tensor: { dtype: "F32", shape: [1], data_offsets: [0, 4] } };
    const json = Buffer.from(JSON.stringify({ __metadata__: { prompt: graph }, ...tensors }));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    const data = Buffer.from([0, 0, 128, 63]);
    const stripped = await strip(Buffer.concat([length, json, data]));
    expect(stripped.subarray(0, 8).equals(length)).toBe(true);
    expect(JSON.parse(stripped.subarray(8, 8 + json.length).toString())).toEqual(tensors);
    expect(stripped.subarray(8 + json.length).equals(data)).toBe(true);
  });
});

test("bytes that make no sense pass as they are after any beginning, or get shorter, and never hang", async () => {
  const beginnings = [
    ...[
      "\x89PNG\r\n\x1a\n",
      "\xff\xd8\xff",
      "GIF89a",
      "RIFF\0\0\0\0WEBP",
      "RIFF\xff\xff\xff\xffWAVE",
      "\0\0\0\x18ftyp",
    ],
    ...[
      "\0\0\0\x01moov",
      "\x1aE\xdf\xa3",
      "fLaC",
      "ID3",
      "OggS",
      "v/1\x01",
      "glTF",
      "\x09\0\0\0\0\0\0\0{",
      "<svg",
      "x",
    ],
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...beginnings),
      fc.uint8Array({ maxLength: 400 }),
      async (beginning, rest) => {
        const bytes = Buffer.concat([Buffer.from(beginning, "latin1"), rest]);
        const stripped = await strip(...inPieces(bytes, 17));
        expect(stripped.length).toBeLessThanOrEqual(bytes.length);
      },
    ),
    { numRuns: 500 },
  );
});

describe("a file that is made to keep its filter busy", () => {
  test("an SVG whose thousands of metadata elements are never closed passes as it is", async () => {
    const bytes = Buffer.from(`<svg>${"<metadata>".repeat(400_000)}${"<metadata".repeat(400_000)}`);
    expect((await strip(bytes)).equals(bytes)).toBe(true);
  });

  test("a Matroska whose tags do not tell their length passes as it is", async () => {
    const head = "1a45dfa380" + "1853806701ffffffffffffff";
    const bytes = Buffer.from(`${head}1254c36701ffffffffffffff${"00".repeat(100)}`, "hex");
    expect((await strip(bytes)).equals(bytes)).toBe(true);
  });

  test("a WebP whose flags claim to fill the file is not gathered up before it is handed on", async () => {
    const head = Buffer.from("RIFF\xff\xff\xff\x7fWEBPVP8X\xff\xff\xff\x7f", "latin1");
    let sent = 0;
    const body = Readable.from(
      (function* () {
        yield head;
        for (; sent < 1_000; sent += 1) yield Buffer.alloc(1_000);
      })(),
    );
    let received = 0;
    for await (const part of stripMetadata(body)) {
      received += (part as Buffer).length;
      if (received > head.length) break;
    }
    expect(sent).toBeLessThan(500);
  });
});

test("a body that fails hands its error on, and one that is left is destroyed", async () => {
  const failing = new Readable({ read: () => undefined });
  const reading = buffer(stripMetadata(failing));
  failing.destroy(new Error("the line went dead"));
  await expect(reading).rejects.toThrow("the line went dead");

  const endless = new Readable({
    read() {
      this.push(Buffer.alloc(1_000));
    },
  });
  const stripped = stripMetadata(endless);
  const closed = new Promise((resolve) => endless.once("close", resolve));
  for await (const bytes of stripped) {
    expect(bytes).toBeInstanceOf(Buffer);
    break;
  }
  await closed;
});
