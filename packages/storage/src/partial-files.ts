import { randomUUID } from "node:crypto";
import { mkdir, opendir, stat, statfs, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isMissing, mapFileError } from "./storage-errors.ts";

/**
 * Removes what crashed writers left behind in a folder of partial files: those that nobody has written to for
 * `olderThanMs`.
 * @returns how many there were
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

/** Makes it where it is missing. @throws StorageError `storage-unavailable`, `storage-full` */
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

/** What a process without privileges may still write on the disk of a folder. */
export async function freeBytesOf(folder: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch (error) {
    throw mapFileError(error, `look at the disk of ${folder}`);
  }
}

/** A file that is not there is no error. */
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
    // Finished or removed in the meantime: nothing to sweep.
    if (isMissing(error)) return true;
    throw error;
  }
}
