import { createHash } from "node:crypto";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import ffmpeg from "@ffmpeg-installer/ffmpeg";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import sharp from "sharp";
import { inspectFile, type FileFacts } from "../src/uploads/inspect-file.ts";
import { box, mp4That, type Mp4Claims } from "./mp4-that.ts";

// Small files that would become large in a server's memory, or that take long. Each is refused by what its headers say.

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "genga-bombs-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

let files = 0;
async function inspect(content: Uint8Array): Promise<FileFacts> {
  const path = join(folder, String((files += 1)));
  await writeFile(path, content);
  const sha256 = createHash("sha256").update(content).digest("hex");
  return await inspectFile({ path, bytes: content.length, sha256 });
}

async function filmed(name: string, ...options: string[]): Promise<Buffer> {
  const path = join(folder, name);
  const source = ["-f", "lavfi", "-i", "testsrc=duration=1.5:size=64x48:rate=8"];
  await promisify(execFile)(ffmpeg.path, ["-y", "-loglevel", "error", ...source, ...options, path]);
  return await readFile(path);
}

/** A GIF with a screen of any size, and frames of one pixel that are each shown for some hundredths of a second. */
function gifThat(claims: { side: number; frames: number; hundredths: number }): Buffer {
  const { side, frames, hundredths } = claims;
  const head = Buffer.from("GIF89a\0\0\0\0\x80\0\0\0\0\0\xff\xff\xff", "latin1");
  head.writeUInt16LE(side, 6);
  head.writeUInt16LE(side, 8);
  const frame = Buffer.from("21f90400000000002c0000000001000100000202440100", "hex");
  frame.writeUInt16LE(hundredths, 4);
  return Buffer.concat([head, ...Array.from({ length: frames }, () => frame), Buffer.from(";")]);
}

/** More boxes than any file of a camera or an encoder has in one. */
const tiny = Buffer.concat(Array.from({ length: 201 }, () => box("free")));

describe("an MP4", () => {
  test.each([
    ["h264.mp4", []],
    ["with-edits.mp4", ["-bf", "2", "-pix_fmt", "yuv420p"]],
    ["at-the-front.mp4", ["-movflags", "+faststart"]],
  ])("of FFmpeg is measured: %s", async (name, options) => {
    const facts = await inspect(await filmed(name, ...options));
    expect(facts).toMatchObject({ mediaType: "video/mp4", width: 64, height: 48, frames: 12 });
    expect(Math.abs((facts.durationMs ?? 0) - 1500)).toBeLessThanOrEqual(250);
  });

  test("in several encodings is taken", async () => {
    expect(await inspect(mp4That({ encodings: 16 }))).toMatchObject({ width: 64, height: 48 });
  });

  test("that claims little is taken", async () => {
    expect(await inspect(mp4That())).toMatchObject({ width: 64, height: 48, frames: 8, durationMs: 1000 });
  });

  test.each<[string, Partial<Mp4Claims>, RegExp]>([
    ["pictures of 16,000 × 16,000", { width: 16_000, height: 16_000 }, /is 16000 × 16000/],
    ["a larger track than its pictures", { shownWidth: 30_000 }, /is 30000 × 48/],
    ["four thousand million samples", { samples: 2 ** 32 - 1, ticks: 0 }, /has 4294967295 frames/],
    ["long samples", { samples: 2, ticks: 3_600_000, durationMs: 1 }, /takes 7200000 ms/],
    ["a long film", { durationMs: 3_600_000 }, /takes 3600000 ms/],
    ["many large frames", { width: 4_096, height: 4_096, samples: 2_000, ticks: 40 }, /all frames together/],
    ["a track that is shown again and again", { edits: 33 }, /33 edits/],
    [
      "frames that edits repeat",
      { width: 2_000, height: 2_000, samples: 400, ticks: 40, edits: 4 },
      /1600 frames/,
    ],
    ["an unknown codec", { codec: "MPNG" }, /its pictures are "MPNG"/],
    ["compressed tables", { extraInMoov: box("cmov", Buffer.alloc(8)) }, /compressed/],
    ["large tables", { extraInMoov: box("free", Buffer.alloc(8 * 1024 * 1024)) }, /its tables have/],
    ["fragments", { extraInMoov: box("mvex", Buffer.alloc(8)) }, /fragmented/],
    ["late fragments", { extraTop: box("moof", Buffer.alloc(8)) }, /fragmented/],
    ["two tables of contents", { extraTop: box("moov", Buffer.alloc(0)) }, /two tables/],
    [
      "a thousand empty parts",
      { extraTop: Buffer.concat(Array.from({ length: 1_000 }, () => box("free"))) },
      /many parts/,
    ],
    ["very many tables", { extraInMoov: tiny }, /tables are not whole/],
    ["very many tables of a track", { extraInMoov: box("trak", tiny) }, /tables are not whole/],
    ["very many tables of a track's media", { extraInMoov: box("trak", box("mdia", tiny)) }, /are not whole/],
    ["very many encodings", { encodings: 17 }, /17 encodings, of at most 16/],
    ["no tables", { extraInMoov: box("trak") }, /lacks tables/],
  ])("with %s is refused", async (_what, claims, reason) => {
    const refusal = expect(inspect(mp4That(claims))).rejects;
    await refusal.toMatchObject({ code: "invalid-video", message: expect.stringMatching(reason) as unknown });
  });

  test("that is cut off anywhere, or changed, is taken or refused, and breaks nothing", async () => {
    const whole = mp4That({ edits: 2 });
    for (let at = 24; at < whole.length; at += 3) {
      const changed = Buffer.from(whole);
      changed.fill(0xff, at, Math.min(at + 4, whole.length));
      for (const content of [whole.subarray(0, at), changed]) {
        const outcome = await inspect(content).catch((error: unknown) => error);
        const { code, mediaType } = outcome as { code?: string; mediaType?: string };
        expect(code ?? mediaType).toMatch(/^(invalid-video|unsupported-media-type|video\/mp4)$/);
      }
    }
  });

  test("in fragments, and a film of another kind, are refused", async () => {
    const fragmented = await filmed("fragments.mp4", "-movflags", "+frag_keyframe+empty_moov");
    await expect(inspect(fragmented)).rejects.toMatchObject({ code: "invalid-video" });
    const mov = await filmed("film.mov", "-pix_fmt", "yuv420p");
    await expect(inspect(mov)).rejects.toMatchObject({ code: "unsupported-media-type" });
  });
});

describe("a moving picture", () => {
  test.each([
    ["clip.gif", "image/gif", []],
    ["clip.webp", "image/webp", ["-loop", "0"]],
  ])("%s is measured with its frames and its time", async (name, mediaType, options) => {
    const facts = await inspect(await filmed(name, ...options));
    expect(facts).toMatchObject({ mediaType, width: 64, height: 48, frames: 12 });
    expect(Math.abs((facts.durationMs ?? 0) - 1500)).toBeLessThanOrEqual(60);
  });

  test("of one frame stands still", async () => {
    expect(await inspect(gifThat({ side: 64, frames: 1, hundredths: 10 }))).toMatchObject({
      ...{ mediaType: "image/gif", frames: 1, durationMs: null },
    });
  });

  test.each<[string, Parameters<typeof gifThat>[0], RegExp]>([
    ["a screen of 65,535 × 65,535", { side: 65_535, frames: 1, hundredths: 0 }, /is 65535 × 65535/],
    ["many frames of a large screen", { side: 4_000, frames: 1_000, hundredths: 1 }, /all frames together/],
    ["very many frames", { side: 16, frames: 20_001, hundredths: 1 }, /has 20001 frames/],
    ["long frames", { side: 16, frames: 2, hundredths: 60_000 }, /takes 1200000 ms/],
  ])("with %s is refused", async (_what, claims, reason) => {
    const refusal = expect(inspect(gifThat(claims))).rejects;
    await refusal.toMatchObject({ code: "invalid-image", message: expect.stringMatching(reason) as unknown });
  });

  test("in WebP with a large canvas is refused", async () => {
    const clip = await filmed("large.webp", "-loop", "0");
    // The canvas of VP8X: width and height less one, in three bytes each.
    clip.writeUIntLE(15_999, 24, 3);
    clip.writeUIntLE(15_999, 27, 3);
    await expect(inspect(clip)).rejects.toMatchObject({ code: "invalid-image" });
  });

  test("is refused as a picture when its first frame cannot be decoded", async () => {
    const whole = await sharp({ create: { width: 256, height: 256, channels: 3, background: "#123" } })
      .webp({ lossless: true })
      .toBuffer();
    await expect(inspect(whole.subarray(0, whole.length - 30))).rejects.toMatchObject({
      code: "invalid-image",
    });
  });
});
