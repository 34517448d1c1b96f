import { type Readable } from "node:stream";

/** What was learnt about a file while it was stored. */
export interface StoredFile {
  storageKey: string;
  bytes: number;
  /** Lowercase hex. */
  sha256: string;
  /** By content, not by name. */
  mediaType: string;
  width: number | null;
  height: number | null;
  durationMs: number | null;
}

/**
 * Where outputs are kept. A key names one file for ever: it carries job, attempt and lease number, so that two attempts
 * never overwrite each other. A file becomes visible only when the database names it.
 * @throws StorageError with codes such as `output-empty`, `output-too-large`, `storage-full`, `storage-unavailable`,
 *   `storage-refused`
 */
export interface OutputStorage {
  /** Streams to the end, or leaves nothing behind. An empty body is refused (`output-empty`). */
  write(file: {
    storageKey: string;
    body: Readable;
    bytesMax: number;
    signal?: AbortSignal;
  }): Promise<StoredFile>;
  /** `start` and `end` are inclusive byte offsets. The signal ends the body too. */
  read(storageKey: string, range?: { start: number; end: number }, signal?: AbortSignal): Promise<Readable>;
  /** Files that are not there are no error. */
  remove(storageKeys: string[]): Promise<void>;
  /**
   * Removes what the holders of a job's leases left behind, up to and with `leaseNumber`, except for `keep`: workers
   * that die after a file is stored and before the transaction names it. Later holders' files are not touched.
   * @returns how many there were
   */
  removeLeftovers(job: { jobId: string; leaseNumber: number; keep: readonly string[] }): Promise<number>;
  /** Removes all files of these jobs, without being in the way of those that are stored and read meanwhile. */
  removeJobs(jobIds: readonly string[]): Promise<void>;
  /** Room on the disk that files grow on: of a folder its own, of a bucket that of the files on their way to it. */
  freeBytes(): Promise<number>;
  /** Removes half-written files that nobody has written to for `olderThanMs`. @returns how many there were */
  sweepPartialFiles(olderThanMs: number): Promise<number>;
}

/** A half-written file that was not touched for so long belongs to nobody any more. */
export const partialFileAgeMs = 60 * 60_000;

/** Where all files of a job are. */
export function outputFolderKey(jobId: string): string {
  return `jobs/${jobId}`;
}

/** The lease number in the name of a folder below a job's, or `null` when it is no such folder. */
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
