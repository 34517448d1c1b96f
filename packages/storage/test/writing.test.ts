import { createHash } from "node:crypto";
import { readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { describe, expect, test } from "@jest/globals";
import {
  prepareStorage,
  bytesMax,
  storageKey,
  folder,
  storage,
  write,
  filesBelow,
  drawn,
  codeOf,
} from "./storage-under-test.ts";

prepareStorage();

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

  test("a write that was aborted before its start does nothing", async () => {
    const body = Readable.from(["x"]);
    const reason = new Error("too late");
    await expect(
      storage.write({ storageKey, body, bytesMax, signal: AbortSignal.abort(reason) }),
    ).rejects.toBe(reason);
    expect(body.destroyed).toBe(true);
  });

  test("an error of the body is passed on unchanged", async () => {
    const failure = Object.assign(new Error("socket hang up"), { code: "ECONNRESET" });
    const body = new PassThrough();
    body.write("half of it");
    const writing = storage.write({ storageKey, body, bytesMax });
    setImmediate(() => body.destroy(failure));
    await expect(writing).rejects.toBe(failure);
    expect(await filesBelow()).toEqual([]);
  });

  test("a body that failed before it was read is an error, too, and not a crash", async () => {
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

  test("twenty files are written at once into folders that other calls are emptying", async () => {
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
