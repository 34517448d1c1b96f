import { lstat, mkdir, realpath } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { StorageError } from "@genga/jobs";
import { hasCode } from "./storage-errors.ts";

const keyLengthMax = 512;
const segmentBytesMax = 255;
const segmentPattern = /^[\p{L}\p{N}_-][\p{L}\p{N}._-]*$/u;

/**
 * The path of a key's file below the folder. It is worked out from the key alone, without access to the disk.
 * @throws StorageError `invalid-storage-key`
 */
export function pathOfKey(folder: string, storageKey: string): string {
  return join(folder, ...assertKey(storageKey));
}

/**
 * Checks a storage key. No segment may begin with a dot, so a key can name neither `..` nor a partial file.
 * @returns its segments
 * @throws StorageError `invalid-storage-key`
 */
export function assertKey(storageKey: string): string[] {
  if (!isKey(storageKey)) throw invalidKey(storageKey);
  return storageKey.split("/");
}

/**
 * Whether a name is a storage key. It is false for files that other programs put into the folder: `.nfs0000…`,
 * `.DS_Store`.
 */
export function isKey(storageKey: string): boolean {
  return (
    storageKey.length <= keyLengthMax &&
    storageKey
      .split("/")
      .every((segment) => segmentPattern.test(segment) && Buffer.byteLength(segment) <= segmentBytesMax)
  );
}

/**
 * Refuses a path whose parent lies outside of the folder, which is only possible with a symbolic link.
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
