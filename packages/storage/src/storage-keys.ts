import { lstat, mkdir, realpath } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { StorageError } from "@genga/jobs";
import { hasCode } from "./storage-errors.ts";

const keyLengthMax = 512;
const segmentBytesMax = 255;
const segmentPattern = /^[\p{L}\p{N}_-][\p{L}\p{N}._-]*$/u;

/**
 * Where a key's file lies below the folder: by the key alone, before anything on disk is touched.
 * @throws StorageError `invalid-storage-key`
 */
export function pathOfKey(folder: string, storageKey: string): string {
  return join(folder, ...assertKey(storageKey));
}

/**
 * No segment begins with a dot, so keys can name neither `..` nor our own partial files.
 * @returns its segments
 * @throws StorageError `invalid-storage-key`
 */
export function assertKey(storageKey: string): string[] {
  if (!isKey(storageKey)) throw invalidKey(storageKey);
  return storageKey.split("/");
}

/** False for what others put beside our files: `.nfs0000…`, `.DS_Store`. */
export function isKey(storageKey: string): boolean {
  return (
    storageKey.length <= keyLengthMax &&
    storageKey
      .split("/")
      .every((segment) => segmentPattern.test(segment) && Buffer.byteLength(segment) <= segmentBytesMax)
  );
}

/**
 * Refuses a path whose parent lies outside of the folder, which only a symbolic link can bring about.
 * @param folder as `realpath` knows it
 * @throws StorageError `invalid-storage-key`; an `ENOENT` error where the parent does not exist
 */
export async function assertWithin(folder: string, path: string, storageKey: string): Promise<void> {
  const parent = await realpath(dirname(path));
  if (parent !== folder && !parent.startsWith(folder + sep)) throw invalidKey(storageKey);
}

/**
 * Makes the parent folders of a path one by one, so that a symbolic link in between is refused rather than followed.
 * @param folder as `realpath` knows it
 * @returns every folder whose list of names has changed, plus the parent itself
 * @throws StorageError `invalid-storage-key`
 */
export async function makeParents(folder: string, path: string, storageKey: string): Promise<Set<string>> {
  const changed = new Set<string>();
  let current = folder;
  for (const segment of relative(folder, dirname(path)).split(sep)) {
    if (segment === "") continue;
    const next = join(current, segment);
    try {
      await mkdir(next);
      changed.add(current);
    } catch (error) {
      if (!hasCode(error, "EEXIST")) throw error;
      if (!(await lstat(next)).isDirectory()) throw invalidKey(storageKey);
    }
    current = next;
  }
  return changed.add(current);
}

function invalidKey(storageKey: string): StorageError {
  return new StorageError("invalid-storage-key", `"${storageKey.slice(0, 200)}" is not a storage key.`, {
    retryable: false,
  });
}
