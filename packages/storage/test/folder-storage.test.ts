import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import ffmpeg from "@ffmpeg-installer/ffmpeg";
import { createCanvas } from "@napi-rs/canvas";
import sharp from "sharp";
import { outputStorageKey, StorageError, type StoredFile } from "@genga/jobs";
import { createFolderStorage, type FolderStorage } from "@genga/storage";

const bytesMax = 10_000_000;
const storageKey = outputStorageKey({
  jobId: "0198c1f2-0000-7000-8000-000000000000",
  attempt: 1,
  leaseNumber: 2,
  index: 0,
  filename: "ComfyUI_00001_.png",
});

let root: string;
let folder: string;
let media: string;
let storage: FolderStorage;

beforeAll(async () => {
  media = await mkdtemp(join(tmpdir(), "genga-media-"));
});

afterAll(async () => {
  await rm(media, { recursive: true });
});

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "genga-storage-"));
  folder = join(root, "outputs");
  storage = await createFolderStorage({ folder });
});

afterEach(async () => {
  await rm(root, { recursive: true });
});

function write(content: Uint8Array | string, key = storageKey): Promise<StoredFile> {
  return storage.write({ storageKey: key, body: Readable.from([Buffer.from(content)]), bytesMax });
}

async function writeNamed(content: Uint8Array, filename: string): Promise<StoredFile> {
  return write(content, outputStorageKey({ jobId: "j", attempt: 1, leaseNumber: 1, index: 0, filename }));
}

/** Every file below the storage folder, partial ones too. */
async function filesBelow(): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
}

/** Runs ffmpeg on its own test picture: 64 × 48, 8 frames a second, 1.5 s. */
async function filmed(filename: string, ...options: string[]): Promise<Buffer> {
  const path = join(media, filename);
  const source = ["-f", "lavfi", "-i", "testsrc=duration=1.5:size=64x48:rate=8"];
  await promisify(execFile)(ffmpeg.path, ["-y", "-loglevel", "error", ...source, ...options, path]);
  return readFile(path);
}

function drawn(width: number, height: number): Buffer {
  const canvas = createCanvas(width, height);
  const context = canvas.getContext("2d");
  context.fillStyle = "#e7a";
  context.fillRect(4, 4, width / 2, height / 2);
  return canvas.toBuffer("image/png");
}

async function codeOf(failing: Promise<unknown>): Promise<string> {
  try {
    await failing;
  } catch (error) {
    if (error instanceof StorageError) return error.code;
    throw error;
  }
  throw new Error("It did not fail.");
}

describe("writing", () => {
  test("a picture is measured while it is stored", async () => {
    const png = drawn(120, 80);
    expect(await write(png)).toEqual({
      storageKey,
      bytes: png.length,
      sha256: createHash("sha256").update(png).digest("hex"),
      mediaType: "image/png",
      width: 120,
      height: 80,
      durationMs: null,
    });
    expect(await buffer(await storage.read(storageKey))).toEqual(png);
    expect(await filesBelow()).toEqual([join(folder, storageKey)]);
  });

  test("a file comes in many pieces and as text", async () => {
    const pieces = Array.from({ length: 500 }, (_, index) => `line ${index} — ${"x".repeat(1000)}\n`);
    const stored = await storage.write({ storageKey, body: Readable.from(pieces), bytesMax });
    const whole = Buffer.from(pieces.join(""));
    expect(stored).toMatchObject({
      bytes: whole.length,
      sha256: createHash("sha256").update(whole).digest("hex"),
    });
  });

  test("an empty body is refused and leaves nothing behind", async () => {
    expect(await codeOf(storage.write({ storageKey, body: Readable.from([]), bytesMax }))).toBe(
      "output-empty",
    );
    expect(await filesBelow()).toEqual([]);
    expect(await readdir(folder)).toEqual([".partial"]);
  });

  test("a body larger than allowed is refused before it is read to its end", async () => {
    let pieces = 0;
    const endless = Readable.from(
      (function* () {
        for (;;) {
          pieces += 1;
          yield Buffer.alloc(1000);
        }
      })(),
      { highWaterMark: 1 },
    );
    expect(await codeOf(storage.write({ storageKey, body: endless, bytesMax: 5000 }))).toBe(
      "output-too-large",
    );
    expect(pieces).toBeLessThan(50);
    expect(endless.destroyed).toBe(true);
    expect(await filesBelow()).toEqual([]);
  });

  test("exactly as many bytes as allowed are accepted", async () => {
    const stored = await storage.write({
      storageKey,
      body: Readable.from([Buffer.alloc(5000, "a")]),
      bytesMax: 5000,
    });
    expect(stored.bytes).toBe(5000);
  });

  test("an abort ends a stalled body and leaves nothing behind", async () => {
    const body = new PassThrough();
    body.write("the first bytes");
    const abort = new AbortController();
    const reason = new Error("the lease was lost");
    const writing = storage.write({ storageKey, body, bytesMax, signal: abort.signal });
    setImmediate(() => {
      abort.abort(reason);
    });
    await expect(writing).rejects.toBe(reason);
    expect(body.destroyed).toBe(true);
    expect(await filesBelow()).toEqual([]);
  });

  test("what was aborted before is not even begun", async () => {
    const body = Readable.from(["x"]);
    const reason = new Error("too late");
    await expect(
      storage.write({ storageKey, body, bytesMax, signal: AbortSignal.abort(reason) }),
    ).rejects.toBe(reason);
    expect(body.destroyed).toBe(true);
  });

  test("an error of the body is handed on as it is", async () => {
    const failure = Object.assign(new Error("socket hang up"), { code: "ECONNRESET" });
    const body = new PassThrough();
    body.write("half of it");
    const writing = storage.write({ storageKey, body, bytesMax });
    setImmediate(() => body.destroy(failure));
    await expect(writing).rejects.toBe(failure);
    expect(await filesBelow()).toEqual([]);
  });

  test("a body that failed before anybody read from it is an error too, not a crash", async () => {
    const failure = new Error("refused");
    const body = new PassThrough();
    const writing = storage.write({ storageKey, body, bytesMax });
    body.destroy(failure);
    await expect(writing).rejects.toBe(failure);
  });

  test("a body that just stops is incomplete, and worth another try", async () => {
    const body = new PassThrough();
    body.write("half of it");
    const writing = storage.write({ storageKey, body, bytesMax });
    setImmediate(() => body.destroy());
    await expect(writing).rejects.toMatchObject({ code: "output-incomplete", retryable: true });
    expect(await filesBelow()).toEqual([]);
  });

  test("a storage that stopped working is worth another try later", async () => {
    await rm(join(folder, ".partial"), { recursive: true });
    await writeFile(join(folder, ".partial"), "a file in the way");
    await expect(storage.write({ storageKey, body: Readable.from(["x"]), bytesMax })).rejects.toMatchObject({
      code: "storage-unavailable",
      retryable: true,
    });
  });

  test("twenty at once into the folders that others are emptying", async () => {
    const keys = Array.from({ length: 20 }, (_, index) => `jobs/j/1-1/${index}-a.txt`);
    await Promise.all(
      keys.map(async (key) => {
        for (let round = 0; round < 5; round += 1) {
          await write(`${key} ${round}`, key);
          await storage.remove([key]);
        }
        await write(key, key);
      }),
    );
    expect((await filesBelow()).length).toBe(20);
  });
});

describe("what a file is", () => {
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

  test("a film that calls itself a picture is a film", async () => {
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

describe("keys", () => {
  test.each([
    ["a way out", "../escape.png"],
    ["a way out in the middle", "jobs/../../escape.png"],
    ["an absolute path", "/etc/passwd"],
    ["an empty segment", "jobs//x"],
    ["nothing", ""],
    ["a dot", "."],
    ["a hidden file", "jobs/.hidden"],
    ["a partial file", ".partial/x"],
    ["a backslash", "jobs\\x"],
    ["a zero byte", "jobs/x\u0000.png"],
    ["a space", "jobs/a b.png"],
    ["a segment that no file system can hold", `jobs/${"x".repeat(300)}`],
    ["a very long key", "jobs/" + "x/".repeat(400) + "y"],
  ])("refuses %s everywhere", async (_what, key) => {
    expect(await codeOf(write("x", key))).toBe("invalid-storage-key");
    expect(await codeOf(storage.read(key))).toBe("invalid-storage-key");
    expect(await codeOf(storage.remove([key]))).toBe("invalid-storage-key");
    expect(await readdir(root)).toEqual(["outputs"]);
  });

  test("accepts what filenames of servers become", async () => {
    for (const filename of [
      "原画 カット01.png",
      "../../x.png",
      "a:b?.webp",
      "é".repeat(200) + ".png",
      "...",
    ]) {
      const key = outputStorageKey({ jobId: "j", attempt: 1, leaseNumber: 1, index: 3, filename });
      await write("x", key);
      expect((await buffer(await storage.read(key))).toString()).toBe("x");
    }
  });

  test("never leaves the folder through a symbolic link", async () => {
    const outside = join(root, "outside");
    await mkdir(outside);
    await writeFile(join(outside, "secret.txt"), "secret");
    await symlink(outside, join(folder, "jobs"));
    expect(await codeOf(storage.read("jobs/secret.txt"))).toBe("invalid-storage-key");
    expect(await codeOf(write("x", "jobs/new.txt"))).toBe("invalid-storage-key");
    expect(await codeOf(write("x", "jobs/deep/new.txt"))).toBe("invalid-storage-key");
    expect(await codeOf(storage.remove(["jobs/secret.txt"]))).toBe("invalid-storage-key");
    expect(await readdir(outside)).toEqual(["secret.txt"]);

    await symlink(join(outside, "secret.txt"), join(folder, "link.txt"));
    expect(await codeOf(storage.read("link.txt"))).toBe("output-missing");
    await write("replaced", "link.txt");
    expect(await readFile(join(outside, "secret.txt"), "utf8")).toBe("secret");
  });

  test("the folder itself may be reached through a link", async () => {
    await symlink(folder, join(root, "linked"));
    const linked = await createFolderStorage({ folder: join(root, "linked") });
    await linked.write({ storageKey, body: Readable.from(["x"]), bytesMax });
    expect((await buffer(await storage.read(storageKey))).toString()).toBe("x");
  });
});

describe("reading and removing", () => {
  test("reads a range, both ends included", async () => {
    await write("0123456789");
    const part = async (start: number, end: number): Promise<string> =>
      (await buffer(await storage.read(storageKey, { start, end }))).toString();
    expect(await part(2, 4)).toBe("234");
    expect(await part(9, 9)).toBe("9");
    expect(await part(5, 500)).toBe("56789");
    expect(await codeOf(storage.read(storageKey, { start: 10, end: 12 }))).toBe("invalid-range");
    expect(await codeOf(storage.read(storageKey, { start: 4, end: 2 }))).toBe("invalid-range");
  });

  test("a missing file and a folder are told before any byte is sent", async () => {
    await write("x");
    expect(await codeOf(storage.read("jobs/none/1-1/0-a.png"))).toBe("output-missing");
    expect(await codeOf(storage.read("jobs"))).toBe("output-missing");
  });

  test("removes files and the folders that they leave empty, and misses nobody", async () => {
    await write("a", "jobs/j/1-1/0-a.txt");
    await write("b", "jobs/j/1-1/1-b.txt");
    await write("c", "jobs/k/1-1/0-c.txt");
    await storage.remove(["jobs/j/1-1/0-a.txt", "jobs/none/0-a.txt"]);
    expect(await readdir(join(folder, "jobs/j/1-1"))).toEqual(["1-b.txt"]);
    await storage.remove(["jobs/j/1-1/1-b.txt", "jobs/j/1-1/1-b.txt"]);
    expect(await readdir(join(folder, "jobs"))).toEqual(["k"]);
    await storage.remove(["jobs/k/1-1/0-c.txt"]);
    expect(await readdir(folder)).toEqual([".partial"]);
  });

  test("removes what earlier leases of a job left, and neither what is kept nor what later leases bring", async () => {
    const keyOf = (jobId: string, attempt: number, leaseNumber: number, index = 0): string =>
      outputStorageKey({ jobId, attempt, leaseNumber, index, filename: "a.png" });
    const kept = [keyOf("j", 2, 3), keyOf("j", 2, 4), keyOf("other", 1, 1)];
    for (const key of [keyOf("j", 1, 1), keyOf("j", 1, 2), keyOf("j", 2, 3, 1), ...kept])
      await write("x", key);
    expect(await storage.removeLeftovers({ jobId: "j", leaseNumber: 3, keep: [keyOf("j", 2, 3)] })).toBe(3);
    expect((await filesBelow()).sort()).toEqual(kept.map((key) => join(folder, key)).sort());
    expect(await storage.removeLeftovers({ jobId: "never", leaseNumber: 9, keep: [] })).toBe(0);
    expect(await codeOf(storage.removeLeftovers({ jobId: "..", leaseNumber: 9, keep: [] }))).toBe(
      "invalid-storage-key",
    );
  });

  test.each([3, 40])("removes all files of %i jobs, and nobody else's", async (count) => {
    const ids = Array.from({ length: count }, (_, index) => `job-${index}`);
    for (const id of ids) await write("x", `jobs/${id}/1-1/0-a.png`);
    await write("x", "jobs/job-0/2-7/1-b.png");
    const ours = "jobs/kept/1-1/0-a.png";
    await write("x", ours);
    // Names that are none of ours stay.
    const odd = join(folder, "jobs/job-1/1-1/.nfs0000000a");
    await writeFile(odd, "");
    await storage.removeJobs([...ids, "never"]);
    expect((await filesBelow()).sort()).toEqual([odd, join(folder, ours)].sort());
    expect(await codeOf(storage.removeJobs([...ids, ".."]))).toBe("invalid-storage-key");
  });

  test.each([3, 40])("follows no link when it removes the files of %i jobs", async (count) => {
    const ids = Array.from({ length: count }, (_, index) => `job-${index}`);
    const elsewhere = join(folder, "..", "elsewhere");
    await mkdir(elsewhere);
    await writeFile(join(elsewhere, "0-a.png"), "not ours");
    await mkdir(join(folder, "jobs/job-1"), { recursive: true });
    await symlink(elsewhere, join(folder, "jobs/job-1/1-1"));
    expect(await codeOf(storage.removeJobs(ids))).toBe("invalid-storage-key");
    expect(await readdir(elsewhere)).toEqual(["0-a.png"]);
  });

  test("removes leftovers beside names that are none of ours", async () => {
    await write("x");
    const odd = [".nfs0000000a", ".DS_Store"].map((name) => join(folder, dirname(storageKey), name));
    for (const path of odd) await writeFile(path, "");
    const jobId = storageKey.split("/")[1]!;
    expect(await storage.removeLeftovers({ jobId, leaseNumber: 9, keep: [] })).toBe(1);
    expect((await filesBelow()).sort()).toEqual(odd.sort());
  });

  test("reading ends with the signal", async () => {
    await write(Buffer.alloc(1_000_000, 7));
    const stopping = new AbortController();
    const body = await storage.read(storageKey, undefined, stopping.signal);
    stopping.abort(new Error("enough"));
    await expect(buffer(body)).rejects.toMatchObject({ code: "ABORT_ERR" });
    await expect(storage.read(storageKey, undefined, stopping.signal)).rejects.toThrow("enough");
  });

  test("sweeps what a crashed writer left, and nothing that is being written", async () => {
    const crashed = join(folder, ".partial", "crashed");
    await writeFile(crashed, "half");
    await utimes(crashed, new Date(), new Date(Date.now() - 3_600_000));
    const body = new PassThrough();
    body.write("first");
    const writing = storage.write({ storageKey, body, bytesMax });
    while ((await readdir(join(folder, ".partial"))).length < 2) await new Promise(setImmediate);

    expect(await storage.sweepPartialFiles(60_000)).toBe(1);

    body.end(" and last");
    await writing;
    expect((await buffer(await storage.read(storageKey))).toString()).toBe("first and last");
    expect(await storage.sweepPartialFiles(0)).toBe(0);
  });

  test("a storage folder that cannot be written to is refused at the start", async () => {
    await writeFile(join(root, "file"), "");
    expect(await codeOf(createFolderStorage({ folder: join(root, "file") }))).toBe("storage-unavailable");
  });

  test("streams from one storage into another", async () => {
    const path = join(media, "big.bin");
    await writeFile(path, Buffer.alloc(3_000_000, 7));
    const stored = await storage.write({ storageKey, body: createReadStream(path), bytesMax });
    const copy = await storage.write({
      storageKey: "copy.bin",
      body: await storage.read(storageKey),
      bytesMax,
    });
    expect(copy.sha256).toBe(stored.sha256);
  });
});
