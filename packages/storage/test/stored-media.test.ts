import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import ffmpeg from "@ffmpeg-installer/ffmpeg";
import sharp from "sharp";
import { prepareStorage, media, writeNamed, filmed, drawn } from "./storage-under-test.ts";

prepareStorage();

describe("facts about a stored file", () => {
  test.each([
    ["clip.mp4", "video/mp4", ["-pix_fmt", "yuv420p"]],
    ["clip.webm", "video/webm", ["-c:v", "libvpx"]],
    ["clip.mov", "video/quicktime", ["-pix_fmt", "yuv420p"]],
    ["clip.mkv", "video/x-matroska", ["-pix_fmt", "yuv420p"]],
    ["clip.gif", "image/gif", []],
    ["clip.webp", "image/webp", ["-loop", "0"]],
    ["clip.png", "image/apng", ["-f", "apng"]],
  ])("%s is %s of 64 × 48 for 1.5 s", async (filename, mediaType, options) => {
    const stored = await writeNamed(await filmed(filename, ...options), filename);
    expect(stored).toMatchObject({ mediaType, width: 64, height: 48 });
    // A GIF counts in hundredths of a second: an eighth is 12 or 13 of them.
    expect(Math.abs((stored.durationMs ?? 0) - 1500)).toBeLessThanOrEqual(60);
  });

  test("sound has a duration and no size", async () => {
    const path = join(media, "tone.wav");
    await promisify(execFile)(ffmpeg.path, ["-y", "-f", "lavfi", "-i", "sine=duration=2", path]);
    expect(await writeNamed(await readFile(path), "tone.wav")).toMatchObject({
      mediaType: "audio/wav",
      width: null,
      height: null,
      durationMs: 2000,
    });
  });

  test.each([
    ["tone.flac", "audio/flac", []],
    ["tone.mp3", "audio/mpeg", []],
    ["tone.opus", "audio/ogg; codecs=opus", ["-c:a", "libopus"]],
    ["tone.ogg", "audio/ogg", ["-c:a", "libvorbis"]],
    ["tone.m4a", "audio/mp4", ["-c:a", "aac"]],
  ])("%s is %s of 2 s", async (filename, mediaType, options) => {
    const path = join(media, filename);
    const source = ["-f", "lavfi", "-i", "sine=duration=2"];
    await promisify(execFile)(ffmpeg.path, ["-y", "-loglevel", "error", ...source, ...options, path]);
    const stored = await writeNamed(await readFile(path), filename);
    expect(stored).toMatchObject({ mediaType, width: null, height: null });
    expect(Math.abs((stored.durationMs ?? 0) - 2000)).toBeLessThanOrEqual(60);
  });

  test.each([
    ["still.webp", "image/webp"],
    ["still.jpeg", "image/jpeg"],
    ["still.gif", "image/gif"],
    ["still.avif", "image/avif"],
    ["still.tiff", "image/tiff"],
  ] as const)("%s is a still picture", async (filename, mediaType) => {
    const picture = sharp(drawn(60, 40));
    const format = mediaType.slice("image/".length) as "webp" | "jpeg" | "gif" | "avif" | "tiff";
    expect(await writeNamed(await picture.toFormat(format).toBuffer(), filename)).toMatchObject({
      mediaType,
      width: 60,
      height: 40,
      durationMs: null,
    });
  });

  test("a video with the name of a picture is a video", async () => {
    const film = await filmed("disguised.mp4", "-pix_fmt", "yuv420p");
    expect((await writeNamed(film, "ComfyUI_00001_.png")).mediaType).toBe("video/mp4");
  });

  test.each([
    ["notes.txt", "a list of seeds: 1, 2, 3 — 原画", "text/plain"],
    ["meta.json", '{"seed": 1}', "application/json"],
    ["drawing.svg", '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="20"/>', "image/svg+xml"],
    ["declared.svg", '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "image/svg+xml"],
    ["captions.srt", "1\n00:00:00,000 --> 00:00:01,000\nhello\n", "application/x-subrip"],
    ["rows.csv", "seed,steps\n1,20\n", "text/csv"],
    ["page.html", "<!doctype html><script>1</script>", "text/html"],
    ["settings.yaml", "seed: 1\n", "text/yaml"],
    ["mesh.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "model/obj"],
    ["mesh.gltf", '{"asset": {"version": "2.0"}}', "model/gltf+json"],
    ["mesh.stl", "solid cube\nfacet normal 0 0 0\n", "model/stl"],
    ["mesh.ply", "ply\nformat ascii 1.0\nelement vertex 0\nend_header\n", "model/ply"],
    ["mesh.dae", '<?xml version="1.0"?><COLLADA/>', "model/vnd.collada+xml"],
    ["mesh.fbx", "; FBX 7.4.0 project file\n", "application/vnd.autodesk.fbx"],
    ["notes.bin", "no name tells what this is", "application/octet-stream"],
    ["notes.txt", "\u0000\u0001\u0002", "application/octet-stream"],
    ["picture.png", "not a picture at all", "application/octet-stream"],
  ])("%s with %j is %s", async (filename, content, mediaType) => {
    expect((await writeNamed(Buffer.from(content), filename)).mediaType).toBe(mediaType);
  });

  const zip = [0x50, 0x4b, 0x03, 0x04, 20, 0, 0, 0, 0, 0, ...Array<number>(16).fill(0), 1, 0, 0, 0, 0x61];
  const safetensors = [...[2, 0, 0, 0, 0, 0, 0, 0], ...Buffer.from("{}")];
  const stl = Buffer.alloc(84 + 50);
  stl.writeUInt32LE(1, 80);
  test.each<[string, Iterable<number>, string]>([
    ["light.exr", [0x76, 0x2f, 0x31, 0x01, 2, 0, 0, 0], "image/x-exr"],
    [
      "light.hdr",
      Buffer.from("#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 1\n\xff", "latin1"),
      "image/vnd.radiance",
    ],
    ["mesh.glb", [...Buffer.from("glTF"), 2, 0, 0, 0, 12, 0, 0, 0], "model/gltf-binary"],
    ["mesh.stl", stl, "model/stl"],
    [
      "cloud.ply",
      Buffer.from("ply\nformat binary_little_endian 1.0\nend_header\n\0\x01\x02", "latin1"),
      "model/ply",
    ],
    [
      "mesh.fbx",
      Buffer.from("Kaydara FBX Binary  \0\x1a\0\xe8\x1c\0\0", "latin1"),
      "application/vnd.autodesk.fbx",
    ],
    ["mesh.usdz", zip, "model/vnd.usdz+zip"],
    ["mesh.splat", Array<number>(64).fill(0xff), "model/x-splat"],
    ["mesh.spz", [0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 3], "model/x-spz"],
    ["x_00001_.latent", safetensors, "application/x-safetensors"],
    ["x.safetensors", safetensors, "application/x-safetensors"],
    ["x.npy", Buffer.from("\x93NUMPY\x01\0", "latin1"), "application/x-numpy"],
    ["x.npz", zip, "application/x-numpy"],
    ["archive.zip", zip, "application/zip"],
    ["archive.svg", zip, "application/zip"],
    ["mesh.obj", [0xff, 0, 1, 2], "application/octet-stream"],
    ["page.html", [0xff, 0, 1, 2], "application/octet-stream"],
    ["clip.mp4", [0xff, 0, 1, 2], "application/octet-stream"],
  ])("the bytes of %s tell what it is (%#)", async (filename, bytes, mediaType) => {
    expect((await writeNamed(Buffer.from([...bytes]), filename)).mediaType).toBe(mediaType);
  });

  test.each(["clip.mp4", "clip.webm", "clip.gif", "clip.webp", "still.png"])(
    "a truncated %s is stored with what can be known, at any length",
    async (filename) => {
      const whole =
        filename === "still.png"
          ? drawn(64, 48)
          : await filmed(filename, ...(filename === "clip.mp4" ? ["-pix_fmt", "yuv420p"] : []));
      for (const bytes of [1, 9, 20, 33, 100, Math.floor(whole.length / 2), whole.length - 1]) {
        const stored = await writeNamed(whole.subarray(0, bytes), filename);
        expect(stored.bytes).toBe(bytes);
        expect([null, 64]).toContain(stored.width);
      }
    },
  );
});
