import { createReadStream } from "node:fs";
import { mkdir, readdir, symlink, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { PassThrough } from "node:stream";
import { buffer } from "node:stream/consumers";
import { describe, expect, test } from "@jest/globals";
import { outputStorageKey } from "@genga/jobs";
import { createFolderStorage } from "@genga/storage";
import {
  prepareStorage,
  bytesMax,
  storageKey,
  root,
  folder,
  media,
  storage,
  write,
  filesBelow,
  codeOf,
} from "./storage-under-test.ts";

prepareStorage();

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

  test("a missing file and a folder are reported before any byte is read", async () => {
    await write("x");
    expect(await codeOf(storage.read("jobs/none/1-1/0-a.png"))).toBe("output-missing");
    expect(await codeOf(storage.read("jobs"))).toBe("output-missing");
  });

  test("removes files and folders that become empty, and a missing file is no error", async () => {
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

  test("removes files of a job's earlier leases, but neither files to keep nor files of later leases", async () => {
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

  test.each([3, 40])("removes all files of %i jobs, and of no other job", async (count) => {
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

  test("removes leftovers even beside files that Genga did not create", async () => {
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

  test("sweeps partial files of a crashed writer, but no file that is being written", async () => {
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
