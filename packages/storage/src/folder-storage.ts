import { constants } from "node:fs";
import { lstat, mkdir, open, readdir, realpath, rename, rmdir, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { addAbortSignal, type Readable } from "node:stream";
import {
  leaseNumberOfFolder,
  outputFolderKey,
  StorageError,
  type OutputStorage,
  type StoredFile,
} from "@genga/jobs";
import { FolderRemover } from "./folder-remover.ts";
import { assertFolderWritable, freeBytesOf, sweepPartialFolder } from "./partial-files.ts";
import { hasCode, isMissing, mapFileError } from "./storage-errors.ts";
import { assertWithin, isKey, makeParents, pathOfKey } from "./storage-keys.ts";
import { type FileToCheck, type FileToStore, storeChecked, storeMeasured } from "./store-measured.ts";

/**
 * Opens a storage for outputs in a folder of this machine. Creates the folder if it is missing.
 * @throws StorageError `storage-unavailable`; the storage is tried now, so that a fault shows at the start and not at
 * the first output
 */
export async function createFolderStorage(options: { folder: string }): Promise<FolderStorage> {
  const storage = new FolderStorage(options.folder);
  await storage.assertWritable();
  return storage;
}

/** Files that are being written; on the same file system as the finished ones, so that a rename publishes them. */
const partialFolder = ".partial";
/** How often publishing is tried: another process may remove an empty folder between its creation and its use. */
const publishTriesMax = 5;
/** From this number of jobs at once, a thread removes the folders; fewer are removed without one. */
const jobsForThread = 16;
/** How much of a file is read at once. */
const readBytes = 64 * 1024;

/** `OutputStorage` on a local folder: a file is complete, measured and on disk before its name exists. */
export class FolderStorage implements OutputStorage {
  readonly #folder: string;
  readonly #remover = new FolderRemover();

  constructor(folder: string) {
    this.#folder = folder;
  }

  async write(file: FileToStore): Promise<StoredFile> {
    const { storageKey } = file;
    return storeMeasured(file, async () => {
      const folder = await this.#openFolder();
      const path = pathOfKey(folder, storageKey);
      return {
        partialFolder: join(folder, partialFolder),
        isMoved: true,
        publish: (partialPath) => publish({ folder, partialPath, path, storageKey }),
      };
    });
  }

  async writeChecked(file: FileToCheck): Promise<void> {
    await storeChecked(file, async () => {
      const folder = await this.#openFolder();
      return {
        partialFolder: join(folder, partialFolder),
        isMoved: true,
        publish: (partialPath, { storageKey }) =>
          publish({ folder, partialPath, path: pathOfKey(folder, storageKey), storageKey }),
      };
    });
  }

  async bytesOf(storageKey: string, signal?: AbortSignal): Promise<number> {
    signal?.throwIfAborted();
    const folder = await this.#openFolder();
    const path = pathOfKey(folder, storageKey);
    try {
      await assertWithin(folder, path, storageKey);
      const facts = await lstat(path);
      if (!facts.isFile()) throw missing(storageKey);
      return facts.size;
    } catch (error) {
      if (isMissing(error)) throw missing(storageKey, error);
      throw mapFileError(error, `read ${storageKey}`);
    }
  }

  async read(
    storageKey: string,
    range?: { start: number; end: number },
    signal?: AbortSignal,
  ): Promise<Readable> {
    signal?.throwIfAborted();
    const folder = await this.#openFolder();
    const path = pathOfKey(folder, storageKey);
    try {
      await assertWithin(folder, path, storageKey);
      const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
      try {
        const facts = await handle.stat();
        if (!facts.isFile()) throw missing(storageKey);
        if (range !== undefined) assertRange(range, facts.size);
        // For each read a stream takes new memory of this size, which thousands of small files would not fill.
        const highWaterMark = Math.min(Math.max(facts.size, 1), readBytes);
        const body = handle.createReadStream({ ...range, autoClose: true, highWaterMark });
        return signal === undefined ? body : addAbortSignal(signal, body);
      } catch (error) {
        await handle.close();
        throw error;
      }
    } catch (error) {
      if (isMissing(error) || hasCode(error, "ELOOP")) throw missing(storageKey, error);
      throw mapFileError(error, `read ${storageKey}`);
    }
  }

  linkTo(): Promise<null> {
    return Promise.resolve(null);
  }

  async remove(storageKeys: string[]): Promise<void> {
    await this.#removeIn(await this.#openFolder(), storageKeys);
  }

  async #removeIn(folder: string, storageKeys: string[]): Promise<void> {
    const paths = storageKeys.map((storageKey) => ({ storageKey, path: pathOfKey(folder, storageKey) }));
    for (const { storageKey, path } of paths) {
      try {
        await assertWithin(folder, path, storageKey);
        await unlink(path);
        await removeEmptyFolders(folder, dirname(path));
      } catch (error) {
        if (!isMissing(error)) throw mapFileError(error, `remove ${storageKey}`);
      }
    }
  }

  async removeLeftovers(job: {
    jobId: string;
    leaseNumber: number;
    keep: readonly string[];
  }): Promise<number> {
    const folder = await this.#openFolder();
    const jobKey = outputFolderKey(job.jobId);
    const leftovers: string[] = [];
    for (const leaseFolder of await namesIn(pathOfKey(folder, jobKey))) {
      const leaseNumber = leaseNumberOfFolder(leaseFolder);
      if (leaseNumber === null || leaseNumber > job.leaseNumber) continue;
      for (const name of await namesIn(pathOfKey(folder, `${jobKey}/${leaseFolder}`))) {
        const storageKey = `${jobKey}/${leaseFolder}/${name}`;
        if (isKey(storageKey) && !job.keep.includes(storageKey)) leftovers.push(storageKey);
      }
    }
    await this.#removeIn(folder, leftovers);
    return leftovers.length;
  }

  async removeJobs(jobIds: readonly string[]): Promise<void> {
    const folder = await this.#openFolder();
    const paths = jobIds.map((jobId) => pathOfKey(folder, outputFolderKey(jobId)));
    let left = jobIds;
    if (paths[0] !== undefined && paths.length >= jobsForThread)
      left = await this.#remover.remove(
        dirname(paths[0]),
        paths.map((path) => basename(path)),
      );
    for (const jobId of left) {
      await this.removeLeftovers({ jobId, leaseNumber: Number.MAX_SAFE_INTEGER, keep: [] });
    }
  }

  async sweepPartialFiles(olderThanMs: number): Promise<number> {
    return sweepPartialFolder(join(await this.#openFolder(), partialFolder), olderThanMs);
  }

  async freeBytes(): Promise<number> {
    return freeBytesOf(await this.#openFolder());
  }

  /** @throws StorageError `storage-unavailable`, `storage-full` */
  async assertWritable(): Promise<void> {
    await assertFolderWritable(join(await this.#openFolder(), partialFolder));
  }

  /** @returns the folder's path as `realpath` returns it; the folder is created again if it has vanished */
  async #openFolder(): Promise<string> {
    try {
      return await realpath(this.#folder);
    } catch (error) {
      if (!isMissing(error)) throw mapFileError(error, `open the storage folder ${this.#folder}`);
    }
    try {
      await mkdir(join(this.#folder, partialFolder), { recursive: true });
      return await realpath(this.#folder);
    } catch (error) {
      throw mapFileError(error, `open the storage folder ${this.#folder}`);
    }
  }
}

/** Gives a complete file its final name, and returns once the file would survive a power cut. */
async function publish(file: {
  folder: string;
  partialPath: string;
  path: string;
  storageKey: string;
}): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const changedFolders = await makeParents(file.folder, file.path, file.storageKey);
      await rename(file.partialPath, file.path);
      await Promise.all([...changedFolders].map(syncFolder));
      return;
    } catch (error) {
      if (!isMissing(error) || attempt >= publishTriesMax) throw error;
    }
  }
}

/** A file's new name is on disk only after its folder was synced. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Removes `start` and its ancestors below `folder`, as far as they are empty. */
async function removeEmptyFolders(folder: string, start: string): Promise<void> {
  for (let current = start; current !== folder; current = dirname(current)) {
    try {
      await rmdir(current);
    } catch (error) {
      if (hasCode(error, "ENOTEMPTY") || hasCode(error, "EEXIST")) return;
      if (!isMissing(error)) throw error;
    }
  }
}

/** Lists the names in a folder; none if the folder does not exist. */
async function namesIn(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (isMissing(error)) return [];
    throw mapFileError(error, "list stored files");
  }
}

function assertRange({ start, end }: { start: number; end: number }, bytes: number): void {
  if (start >= 0 && start <= end && start < bytes) return;
  throw new StorageError("invalid-range", `Bytes ${start}-${end} are not in a file of ${bytes} bytes.`, {
    retryable: false,
  });
}

function missing(storageKey: string, cause?: unknown): StorageError {
  return new StorageError("output-missing", `There is no file ${storageKey}.`, { retryable: false, cause });
}
