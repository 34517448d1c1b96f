import { type Readable } from "node:stream";

/** Facts about a file that was just stored. */
export interface StoredFile {
  storageKey: string;
  bytes: number;
  /** Lowercase hex. */
  sha256: string;
  /** Found by content, not by name. */
  mediaType: string;
  width: number | null;
  height: number | null;
  durationMs: number | null;
}

/** A complete file that has no key yet. */
export interface CheckedFile {
  path: string;
  bytes: number;
  /** Lowercase hex. */
  sha256: string;
}

/**
 * Stores outputs. A key names one file for ever: it contains job, attempt and lease number, so that two attempts never
 * overwrite each other's files. A file becomes visible only when the database names it.
 * @throws StorageError with codes such as `output-empty`, `output-too-large`, `storage-full`, `storage-unavailable`,
 * `storage-refused`
 */
export interface OutputStorage {
  /** Stores the whole stream, or nothing. An empty body is refused (`output-empty`). */
  write(file: {
    storageKey: string;
    body: Readable;
    bytesMax: number;
    signal?: AbortSignal;
  }): Promise<StoredFile>;
  /**
   * Stores the whole stream under a key that its content decides, or nothing. `check` reads the complete file at a path
   * that only it may use, and only until it resolves; if it throws, nothing is stored.
   */
  writeChecked(file: {
    body: Readable;
    bytesMax: number;
    check: (written: CheckedFile) => Promise<{ storageKey: string; mediaType: string }>;
    signal?: AbortSignal;
  }): Promise<void>;
  /** The size of a file. */
  bytesOf(storageKey: string, signal?: AbortSignal): Promise<number>;
  /** `start` and `end` are inclusive byte offsets. An abort of the signal also ends the returned stream. */
  read(storageKey: string, range?: { start: number; end: number }, signal?: AbortSignal): Promise<Readable>;
  /**
   * A URL under which anybody can read the file for a while, without this process. `null` = the storage has no such URLs.
   * @param answer the headers with which the bytes come
   */
  linkTo(
    storageKey: string,
    answer: { mediaType: string; contentDisposition: string; expiresInSeconds: number },
  ): Promise<string | null>;
  /** Missing files are no error. */
  remove(storageKeys: string[]): Promise<void>;
  /**
   * Removes files that the holders of a job's leases up to `leaseNumber` stored, except for `keep`. Such files are left
   * over when a worker dies after it stored a file and before the transaction that names it. Files of later holders are
   * not touched.
   * @returns how many files were removed
   */
  removeLeftovers(job: { jobId: string; leaseNumber: number; keep: readonly string[] }): Promise<number>;
  /** Removes all files of these jobs. Files that are stored or read at the same time are not disturbed. */
  removeJobs(jobIds: readonly string[]): Promise<void>;
  /**
   * Free space on the disk that files are written to: the folder's own disk, or, for a bucket, the disk of partial
   * files.
   */
  freeBytes(): Promise<number>;
  /** Tries whether files can be stored now, and read and removed again. @throws StorageError why not */
  assertWritable(): Promise<void>;
  /** Removes partial files that were not written to for `olderThanMs`. @returns how many */
  sweepPartialFiles(olderThanMs: number): Promise<number>;
}

/** A partial file that was not written to for this long belongs to no process any more. */
export const partialFileAgeMs = 60 * 60_000;

/** The folder of all files of a job. */
export function outputFolderKey(jobId: string): string {
  return `jobs/${jobId}`;
}

/** The lease number in the name of a folder below a job's folder; `null` when the name has another form. */
export function leaseNumberOfFolder(name: string): number | null {
  const digits = /^\d+-(\d+)$/.exec(name)?.[1];
  return digits === undefined ? null : Number(digits);
}

/** `jobs/<job>/<attempt>-<lease>/<index>-<name>`: lowercase hex, digits and safe characters only. */
export function outputStorageKey(place: {
  jobId: string;
  attempt: number;
  leaseNumber: number;
  index: number;
  filename: string;
}): string {
  const name = place.filename
    .normalize("NFC")
    .replace(/[^\p{L}\p{N}._-]+/gu, "_")
    .replace(/^[._]+/, "")
    .slice(-80)
    .replace(/^[\uDC00-\uDFFF]/, ""); // Half of a character that the cut went through.
  return `${outputFolderKey(place.jobId)}/${place.attempt}-${place.leaseNumber}/${place.index}-${name === "" ? "output" : name}`;
}
