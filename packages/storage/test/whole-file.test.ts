import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import ffmpeg from "@ffmpeg-installer/ffmpeg";
import sharp from "sharp";
import { requireWhole } from "@genga/storage";

// Files as real encoders write them: pictures by sharp, videos and sounds by ffmpeg.

const made = new Map<string, Buffer>();
const pictures = ["still.png", "still.jpg", "still.gif", "still.webp", "lossless.webp", "still.avif"];
const films: [name: string, ...options: string[]][] = [
  ["clip.mp4", "-pix_fmt", "yuv420p"],
  ["fast.mp4", "-pix_fmt", "yuv420p", "-movflags", "+faststart"],
  ["fragments.mp4", "-pix_fmt", "yuv420p", "-movflags", "+frag_keyframe+empty_moov"],
  ["clip.mov", "-pix_fmt", "yuv420p"],
  ["clip.webm"],
  ["clip.mkv"],
  ["clip.avi"],
  ["clip.gif"],
  ["clip.webp"],
];
const sounds: [name: string, ...options: string[]][] = [["tone.wav"], ["tone.m4a"]];
const names = [...pictures, ...[...films, ...sounds].map(([name]) => name)];

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), "genga-whole-"));
  const noise = Buffer.from(Array.from({ length: 64 * 48 * 3 }, (_unused, index) => (index * 7919) % 251));
  const picture = sharp(noise, { raw: { width: 64, height: 48, channels: 3 } });
  made.set("still.png", await picture.clone().png().toBuffer());
  made.set("still.jpg", await picture.clone().jpeg().toBuffer());
  made.set("still.gif", await picture.clone().gif().toBuffer());
  made.set("still.webp", await picture.clone().webp().toBuffer());
  made.set("lossless.webp", await picture.clone().webp({ lossless: true }).toBuffer());
  made.set("still.avif", await picture.clone().avif().toBuffer());
  for (const [input, files] of [
    ["testsrc=size=64x48:rate=8:duration=1", films],
    ["sine=duration=0.5", sounds],
  ] as const) {
    for (const [name, ...options] of files) {
      const path = join(folder, name);
      await promisify(execFile)(ffmpeg.path, ["-f", "lavfi", "-i", input, ...options, path]);
      made.set(name, await readFile(path));
    }
  }
  await rm(folder, { recursive: true });
}, 180_000);

afterAll(() => {
  made.clear();
});

/** Through the check, in chunks of so many bytes. */
async function checked(file: Buffer, chunkBytes = 64 * 1_024): Promise<Buffer> {
  const chunks = Array.from({ length: Math.ceil(file.length / chunkBytes) }, (_unused, index) =>
    file.subarray(index * chunkBytes, (index + 1) * chunkBytes),
  );
  return buffer(requireWhole(Readable.from(chunks, { objectMode: false })));
}

describe.each(names)("%s", (name) => {
  test("passes byte by byte when it is whole, however its bytes come, and with something behind its end", async () => {
    const file = made.get(name)!;
    for (const chunkBytes of [1, 7, 4_096, 1_000_000]) {
      expect((await checked(file, chunkBytes)).equals(file)).toBe(true);
    }
    const padded = Buffer.concat([file, Buffer.alloc(32)]);
    expect((await checked(padded)).equals(padded)).toBe(true);
  });

  test("is noticed when it breaks off: at its last bytes, in the middle, soon after its beginning", async () => {
    const file = made.get(name)!;
    for (const bytes of [file.length - 1, Math.floor(file.length * 0.9), Math.floor(file.length / 2), 64]) {
      await expect(checked(file.subarray(0, bytes))).rejects.toMatchObject({
        code: "output-truncated",
        retryable: true,
      });
    }
  });
});

test.each([
  ["nothing", ""],
  ["a text", "hello"],
  ["a begin of a PNG that is too short to tell", "\x89PNG"],
  ["a WAV of a program that wrote into a pipe", "RIFF\xff\xff\xff\xffWAVEfmt "],
  ["a WAV that SoX wrote into a pipe", "RIFF\x24\xf0\xff\x7fWAVEfmt "],
  ["a WebM that leaves its length open", "\x1aE\xdf\xa3\x80\x18S\x80g\x01\xff\xff\xff\xff\xff\xff\xffmore"],
])("%s passes as it is", async (_what, text) => {
  const file = Buffer.from(text, "latin1");
  expect((await checked(file)).equals(file)).toBe(true);
});

test("a video with a text behind its end is whole", async () => {
  const file = Buffer.concat([made.get("clip.mp4")!, Buffer.from('{"prompt": "appended by somebody"}')]);
  expect(await checked(file)).toEqual(file);
});

test("a body that nobody reads is let go of with the check", async () => {
  const body = Readable.from([Buffer.from("x")]);
  const closed = once(body, "close");
  requireWhole(body).destroy();
  await closed;
});

test("an error of the body comes through as it is", async () => {
  const failure = new Error("the connection broke");
  const body = Readable.from(
    (function* (): Generator<Buffer> {
      yield made.get("still.png")!.subarray(0, 100);
      throw failure;
    })(),
  );
  await expect(buffer(requireWhole(body))).rejects.toBe(failure);
});
