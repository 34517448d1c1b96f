import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
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
  storage,
  write,
  codeOf,
} from "./storage-under-test.ts";

prepareStorage();

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

  test("accepts the safe forms of servers' file names", async () => {
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
