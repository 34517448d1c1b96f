import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { type Readable } from "node:stream";
import { StorageError } from "@genga/jobs";
import { hasCode } from "./storage-errors.ts";

/** Reading the body failed, and not the disk; `cause` is the body's own error. */
export class BodyFailure extends Error {}

/**
 * Streams a body into a new file, measuring on the way; the file is on disk when this resolves.
 * @throws StorageError `output-empty`, `output-too-large`, `output-incomplete`
 * @throws BodyFailure
 */
export async function writeMeasured(file: {
  path: string;
  body: Readable;
  bytesMax: number;
}): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash("sha256");
  let bytes = 0;
  const handle = await open(file.path, "wx");
  try {
    for await (const chunk of chunksOf(file.body)) {
      bytes += chunk.length;
      if (bytes > file.bytesMax) throw tooLarge(file.bytesMax);
      hash.update(chunk);
      await handle.writeFile(chunk);
    }
    if (bytes === 0) {
      throw new StorageError("output-empty", "The output has no content.", { retryable: false });
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  return { bytes, sha256: hash.digest("hex") };
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
