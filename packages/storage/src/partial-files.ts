import { opendir, stat, unlink } from "node:fs/promises";
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
