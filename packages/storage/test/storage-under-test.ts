import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach } from "@jest/globals";
import ffmpeg from "@ffmpeg-installer/ffmpeg";
import { createCanvas } from "@napi-rs/canvas";
import { outputStorageKey, StorageError, type StoredFile } from "@genga/jobs";
import { createFolderStorage, type FolderStorage } from "@genga/storage";

export const bytesMax = 10_000_000;
export const storageKey = outputStorageKey({
  jobId: "0198c1f2-0000-7000-8000-000000000000",
  attempt: 1,
  leaseNumber: 2,
  index: 0,
  filename: "ComfyUI_00001_.png",
});

export let root: string;
export let folder: string;
export let media: string;
export let storage: FolderStorage;

/** Opens an empty folder storage for each test of a file, and a folder for media that its tests make. */
export function prepareStorage(): void {
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
}

export function write(content: Uint8Array | string, key = storageKey): Promise<StoredFile> {
  return storage.write({ storageKey: key, body: Readable.from([Buffer.from(content)]), bytesMax });
}

export async function writeNamed(content: Uint8Array, filename: string): Promise<StoredFile> {
  return write(content, outputStorageKey({ jobId: "j", attempt: 1, leaseNumber: 1, index: 0, filename }));
}

/** Every file below the storage folder, including partial ones. */
export async function filesBelow(): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
}

/** Makes a video of ffmpeg's test picture: 64 × 48, 8 frames a second, 1.5 s. */
export async function filmed(filename: string, ...options: string[]): Promise<Buffer> {
  const path = join(media, filename);
  const source = ["-f", "lavfi", "-i", "testsrc=duration=1.5:size=64x48:rate=8"];
  await promisify(execFile)(ffmpeg.path, ["-y", "-loglevel", "error", ...source, ...options, path]);
  return readFile(path);
}

export function drawn(width: number, height: number): Buffer {
  const canvas = createCanvas(width, height);
  const context = canvas.getContext("2d");
  context.fillStyle = "#e7a";
  context.fillRect(4, 4, width / 2, height / 2);
  return canvas.toBuffer("image/png");
}

export async function codeOf(failing: Promise<unknown>): Promise<string> {
  try {
    await failing;
  } catch (error) {
    if (error instanceof StorageError) return error.code;
    throw error;
  }
  throw new Error("It did not fail.");
}
