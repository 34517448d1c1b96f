import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { lockFolder } from "./folder-lock.ts";
import { startOf } from "./process-identity.ts";

let folder: string;
const lockPath = (): string => join(folder, "genga.lock");

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "genga-lock-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

const holder = (pid: number, started: string | undefined): string =>
  JSON.stringify({ pid, started, since: "2026-01-02T03:04:05.000Z", token: "theirs" });

describe("a folder's lock", () => {
  test("is held until it is released, and leaves nothing else in the folder", () => {
    const lock = lockFolder(folder);
    expect(() => lockFolder(folder)).toThrow(new RegExp(`in use by process ${process.pid} \\(`));
    expect(readdirSync(folder)).toEqual(["genga.lock"]);
    lock.release();
    lock.release();
    expect(readdirSync(folder)).toEqual([]);
    lockFolder(folder).release();
  });

  test("names the holder and since when", () => {
    writeFileSync(lockPath(), holder(process.ppid, startOf(process.ppid)));
    expect(() => lockFolder(folder)).toThrow(/since 2026-01-02T03:04:05.000Z.*DATA_DIR/);
  });

  test("is taken over when the holder's pid belongs to a later process", () => {
    writeFileSync(lockPath(), holder(process.ppid, "another-boot/1"));
    lockFolder(folder).release();
  });

  test.each(["", "not JSON", holder(2 ** 22 + 1, "gone/1")])("is taken over from %j", (content) => {
    writeFileSync(lockPath(), content);
    lockFolder(folder).release();
  });

  test("is not released by one whose lock was taken over", () => {
    const lock = lockFolder(folder);
    writeFileSync(lockPath(), holder(process.pid, startOf(process.pid)));
    lock.release();
    expect(readFileSync(lockPath(), "utf8")).toContain("theirs");
  });
});
