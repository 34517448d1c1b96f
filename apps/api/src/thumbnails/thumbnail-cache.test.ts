import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, test } from "@jest/globals";
import { ThumbnailCache } from "./thumbnail-cache.ts";

const folders: string[] = [];
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "genga-thumbnails-"));
  folders.push(folder);
});
afterAll(() => Promise.all(folders.map((each) => rm(each, { recursive: true }))));

const nameOf = (index: number): string => `${String(index).padStart(2, "0")}ab-256.webp`;
const content = Buffer.alloc(100, 7);
const daysAgo = (days: number): Date => new Date(Date.now() - days * 86_400_000);

test("what was kept is found, by another process as well, and nothing else", async () => {
  await new ThumbnailCache({ folder, bytesMax: 10_000 }).keep(nameOf(1), content);
  const other = new ThumbnailCache({ folder, bytesMax: 10_000 });
  expect([await other.find(nameOf(1)), await other.find(nameOf(2))]).toEqual([content, null]);
});

test("what was used longest ago goes first, whoever wrote it, and the bound holds", async () => {
  const [one, other] = [1, 2].map(() => new ThumbnailCache({ folder, bytesMax: 1_000 }));
  for (let index = 0; index < 8; index += 1) {
    await (index % 2 === 0 ? one : other)!.keep(nameOf(index), content);
    await utimes(
      join(folder, nameOf(index).slice(0, 2), nameOf(index)),
      daysAgo(9 - index),
      daysAgo(9 - index),
    );
  }
  await one!.find(nameOf(0)); // Used now.
  for (let index = 8; index < 11; index += 1) await one!.keep(nameOf(index), content);
  const found = await Promise.all(Array.from({ length: 11 }, (_, index) => other!.find(nameOf(index))));
  expect(found.filter((each) => each !== null).length * content.length).toBeLessThanOrEqual(1_000);
  expect([found[0], found[1], found[10]]).toEqual([content, null, content]);
});

test("two processes that shrink at once, and readers, do not disturb each other", async () => {
  const caches = [1, 2, 3].map(() => new ThumbnailCache({ folder, bytesMax: 1_000 }));
  await Promise.all(
    Array.from({ length: 90 }, async (_, index) => {
      const cache = caches[index % 3]!;
      await cache.keep(nameOf(index), content);
      const found = await cache.find(nameOf((index * 7) % 90));
      expect(found === null || found.equals(content)).toBe(true);
      await cache.shrink();
    }),
  );
});

test("half-written files of a process that died are removed", async () => {
  await mkdir(join(folder, "partial"), { recursive: true });
  await writeFile(join(folder, "partial", "old"), "x");
  await utimes(join(folder, "partial", "old"), daysAgo(1), daysAgo(1));
  await writeFile(join(folder, "partial", "new"), "x");
  await new ThumbnailCache({ folder, bytesMax: 1_000 }).shrink();
  expect(await readdir(join(folder, "partial"))).toEqual(["new"]);
});

test("with a bound of nothing, nothing is kept", async () => {
  const cache = new ThumbnailCache({ folder, bytesMax: 0 });
  await cache.keep(nameOf(1), content);
  expect(await cache.find(nameOf(1))).toBeNull();
});
