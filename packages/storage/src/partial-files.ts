import { randomUUID } from "node:crypto";
import { mkdir, opendir, stat, statfs, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isMissing, mapFileError } from "./storage-errors.ts";

/**
 * Removes files that crashed writers left in a folder of partial files: those that were last written to more than
 * `olderThanMs` ago.
 * @returns the number of removed files
 */
export async function sweepPartialFolder(partial: string, olderThanMs: number): Promise<number> {
  let removed = 0;
  try {
    for await (const entry of await opendir(partial)) {
      const path = join(partial, entry.name);
      if (await wasModifiedWithin(path, olderThanMs)) continue;
      await removeFile(path);
      removed += 1;
    }
  } catch (error) {
    throw mapFileError(error, "sweep partial files");
  }
  return removed;
}

/** @throws StorageError `storage-unavailable`, `storage-full` */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    throw mapFileError(error, `open the folder ${path}`);
  }
}

/**
 * Checks that the folder can be written to, and creates it if it is missing. @throws StorageError
 * `storage-unavailable`, `storage-full`
 */
export async function assertFolderWritable(folder: string): Promise<void> {
  await makeFolder(folder);
  const path = join(folder, randomUUID());
  try {
    await writeFile(path, "written");
  } catch (error) {
    throw mapFileError(error, `write to the folder ${folder}`);
  } finally {
    await removeFile(path);
  }
}

/** The free bytes on the disk of a folder, as far as a process without privileges may use them. */
export async function freeBytesOf(folder: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch (error) {
    throw mapFileError(error, `read the free space on the disk of ${folder}`);
  }
}

/** Removes a file; it is no error if the file does not exist. */
export async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

async function wasModifiedWithin(path: string, timeMs: number): Promise<boolean> {
  try {
    return Date.now() - (await stat(path)).mtimeMs < timeMs;
  } catch (error) {
    // The file was finished or removed in the meantime.
    if (isMissing(error)) return true;
    throw error;
  }
}
