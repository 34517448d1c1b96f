import { appendFile, readFile } from "node:fs/promises";
import { expect, test } from "@jest/globals";
import { StorageError } from "@genga/jobs";
import { mapFileError } from "./storage-errors.ts";

async function failureOf(step: () => Promise<unknown>): Promise<unknown> {
  try {
    await step();
  } catch (error) {
    return error;
  }
  throw new Error("It did not fail.");
}

// Linux has a device that is always full.
(process.platform === "linux" ? test : test.skip)(
  "a full disk is retryable and has its own code",
  async () => {
    const mapped = mapFileError(await failureOf(() => appendFile("/dev/full", "x")), "store a.png");
    expect(mapped).toMatchObject({
      code: "storage-full",
      retryable: true,
      message: "Could not store a.png: the disk is full.",
      cause: { code: "ENOSPC" },
    });
  },
);

test("any other trouble with the file system is retryable too, and says what it was", async () => {
  const mapped = mapFileError(await failureOf(() => readFile("/")), "read a.png");
  expect(mapped).toMatchObject({ code: "storage-unavailable", retryable: true });
  expect(String(mapped)).toMatch("Could not read a.png (EISDIR).");
});

test("our own errors and our own mistakes stay what they are", async () => {
  const own = new StorageError("output-empty", "Nothing.", { retryable: false });
  expect(mapFileError(own, "store")).toBe(own);
  const mistake = await failureOf(() => readFile("a\u0000b"));
  expect(mapFileError(mistake, "read")).toBe(mistake);
});
