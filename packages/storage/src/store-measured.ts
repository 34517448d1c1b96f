import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { type Readable } from "node:stream";
import { type OutputStorage, type StoredFile } from "@genga/jobs";
import { BodyFailure, type MeasuredFile, writeMeasured } from "./measured-write.ts";
import { readMediaFacts } from "./media-facts.ts";
import { removeFile } from "./partial-files.ts";
import { mapFileError } from "./storage-errors.ts";

/** A file to store, as the port `OutputStorage` describes it. */
export interface FileToStore {
  storageKey: string;
  body: Readable;
  bytesMax: number;
  signal?: AbortSignal;
}

/** The path where a file is written, and the action that makes the complete file visible under its key. */
export interface StoringPlace {
  /** Made when it is missing. */
  partialFolder: string;
  /** `publish` moves the partial file away. */
  isMoved?: boolean;
  publish(partialPath: string, file: PublishedFile): Promise<void>;
}

/** What is known of a file when it is published. */
export type PublishedFile = Pick<StoredFile, "storageKey" | "bytes" | "sha256" | "mediaType">;

/** A file whose key its content decides, as the port `OutputStorage` describes it. */
export type FileToCheck = Parameters<OutputStorage["writeChecked"]>[0];

/**
 * Streams a body into a partial file, measures it, and publishes it when it is complete. If that fails, no file is left
 * behind.
 *
 * @param prepare returns the place; throws for a bad key before the body is read
 */
export async function storeMeasured(
  file: FileToStore,
  prepare: () => Promise<StoringPlace>,
): Promise<StoredFile> {
  const { storageKey } = file;
  return await store(file, `store ${storageKey}`, prepare, async ({ bytes, sha256, ...written }) => {
    const facts = await readMediaFacts(written, storageKey);
    return { storageKey, bytes, sha256, ...facts };
  });
}

/** Streams a body into a partial file, has it checked, and publishes it under the key that the check returned. */
export async function storeChecked(file: FileToCheck, prepare: () => Promise<StoringPlace>): Promise<void> {
  await store(file, "store an upload", prepare, async ({ path, bytes, sha256 }) => {
    return { bytes, sha256, ...(await file.check({ path, bytes, sha256 })) };
  });
}

async function store<Stored extends PublishedFile>(
  { body, bytesMax, signal }: Pick<FileToStore, "body" | "bytesMax" | "signal">,
  intention: string,
  prepare: () => Promise<StoringPlace>,
  factsOf: (written: MeasuredFile) => Promise<Stored>,
): Promise<Stored> {
  const abort = (): void => {
    body.destroy();
  };
  // The body may fail at any moment, even while no reader listens to it; without a listener that error would end the
  // process.
  body.on("error", () => undefined);
  signal?.addEventListener("abort", abort);
  let partialPath: string | null = null;
  try {
    signal?.throwIfAborted();
    const place = await prepare();
    partialPath = join(place.partialFolder, randomUUID());
    const stored = await factsOf(await writeMeasured({ path: partialPath, body, bytesMax }));
    signal?.throwIfAborted();
    await place.publish(partialPath, stored);
    if (place.isMoved === true) partialPath = null;
    return stored;
  } catch (error) {
    signal?.throwIfAborted();
    throw error instanceof BodyFailure ? error.cause : mapFileError(error, intention);
  } finally {
    if (partialPath !== null) await removeFile(partialPath);
    signal?.removeEventListener("abort", abort);
    body.destroy();
  }
}
