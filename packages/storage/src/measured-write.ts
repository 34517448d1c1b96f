import { createHash } from "node:crypto";
import { mkdir, open, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { type Readable } from "node:stream";
import { StorageError } from "@genga/jobs";
import { hasCode, isMissing } from "./storage-errors.ts";

/** Reading the body failed, and not the disk; `cause` is the body's own error. */
export class BodyFailure extends Error {}

/** A file that was written. */
export interface WrittenFile {
  path: string;
  /** Its content, if that is small. */
  content: Buffer | null;
}

export interface MeasuredFile extends WrittenFile {
  bytes: number;
  sha256: string;
}

/** The content of a file up to this size is kept until its facts are known, so that it need not be read again. */
const contentBytesMax = 1024 * 1024;
/** Smaller chunks are written together. */
const writtenTogetherBytes = 64 * 1024;

/**
 * Streams a body into a new file, measuring on the way; the file is on disk when this resolves.
 * @throws StorageError `output-empty`, `output-too-large`, `output-incomplete`
 * @throws BodyFailure
 */
export async function writeMeasured(file: {
  path: string;
  body: Readable;
  bytesMax: number;
}): Promise<MeasuredFile> {
  const hash = createHash("sha256");
  let bytes = 0;
  let content: Buffer[] | null = [];
  let waiting: Buffer[] = [];
  let waitingBytes = 0;
  const handle = await openNew(file.path);
  const writeWaiting = async (): Promise<void> => {
    if (waitingBytes > 0) await handle.writeFile(Buffer.concat(waiting));
    waiting = [];
    waitingBytes = 0;
  };
  try {
    for await (const chunk of chunksOf(file.body)) {
      bytes += chunk.length;
      if (bytes > file.bytesMax) throw tooLarge(file.bytesMax);
      hash.update(chunk);
      waiting.push(chunk);
      waitingBytes += chunk.length;
      if (waitingBytes >= writtenTogetherBytes) await writeWaiting();
      if (bytes > contentBytesMax) content = null;
      content?.push(chunk);
    }
    if (bytes === 0) {
      throw new StorageError("output-empty", "The output has no content.", { retryable: false });
    }
    await writeWaiting();
    await handle.sync();
  } finally {
    await handle.close();
  }
  const { path } = file;
  return { path, content: content && Buffer.concat(content), bytes, sha256: hash.digest("hex") };
}

/** Its folder is made if it is missing, as it is once in the life of a storage. */
async function openNew(path: string): Promise<FileHandle> {
  try {
    return await open(path, "wx");
  } catch (error) {
    if (!isMissing(error)) throw error;
    await mkdir(dirname(path), { recursive: true });
    return await open(path, "wx");
  }
}

/** Yields the body's chunks; leaving the loop early destroys the body. */
async function* chunksOf(body: Readable): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of body as AsyncIterable<unknown>) yield bytesOf(chunk);
  } catch (error) {
    if (hasCode(error, "ERR_STREAM_PREMATURE_CLOSE")) {
      throw new StorageError("output-incomplete", "The output ended before it was complete.", {
        retryable: true,
        cause: error,
      });
    }
    throw new BodyFailure("The body failed.", { cause: error });
  }
}

function bytesOf(chunk: unknown): Buffer {
  if (typeof chunk === "string") return Buffer.from(chunk);
  if (ArrayBuffer.isView(chunk)) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  throw new TypeError("A body must be a stream of bytes.");
}

function tooLarge(bytesMax: number): StorageError {
  return new StorageError("output-too-large", `The output is larger than ${bytesMax} bytes.`, {
    retryable: false,
  });
}
