import { open, readFile } from "node:fs/promises";
import { uploadMediaTypes, type CheckedFile, type UploadMediaType } from "@genga/jobs";
import { fileTypeFromBuffer } from "file-type";
import { readImage } from "./read-image.ts";
import { readVideo } from "./read-video.ts";
import { blake3Of } from "./content-hash.ts";
import { imageBytesMax, type Measures } from "./upload-limits.ts";
import { RefusedError } from "../http/problem-document.ts";

export interface FileFacts extends Measures {
  mediaType: UploadMediaType;
  sha256: string;
  /** Lowercase hex. */
  blake3: string;
  bytes: number;
}

/** The first bytes of a file show its type. */
const sampleBytes = 4100;

/**
 * Validates a file by its content; its name and its declared type are not trusted.
 * @throws RefusedError `unsupported-media-type`, `invalid-image`, `invalid-video`, `body-too-large`
 */
export async function inspectFile({ path, bytes, sha256 }: CheckedFile): Promise<FileFacts> {
  const mediaType = await typeOf(path);
  const measures =
    mediaType === "video/mp4" ? await readVideo(path) : await readImage(await imageAt(path, bytes));
  return { mediaType, sha256, blake3: await blake3Of(path), bytes, ...measures };
}

async function typeOf(path: string): Promise<UploadMediaType> {
  const handle = await open(path);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(sampleBytes), 0, sampleBytes, 0);
    const found = (await fileTypeFromBuffer(buffer.subarray(0, bytesRead)))?.mime;
    // Of an animated PNG only the first frame is read, as servers do. An M4V is an MP4 by another name.
    const aliases: Readonly<Record<string, string>> = {
      "image/apng": "image/png",
      "video/x-m4v": "video/mp4",
    };
    const mediaType = uploadMediaTypes.find((type) => type === (aliases[found ?? ""] ?? found));
    if (mediaType !== undefined) return mediaType;
    const accepted = uploadMediaTypes.join(", ");
    throw new RefusedError(
      "unsupported-media-type",
      `The content is ${found ?? "of no known type"}; it must be one of ${accepted}.`,
    );
  } finally {
    await handle.close();
  }
}

async function imageAt(path: string, bytes: number): Promise<Buffer> {
  if (bytes <= imageBytesMax) return await readFile(path);
  throw new RefusedError(
    "body-too-large",
    `An image may have ${imageBytesMax} bytes; this one has ${bytes}.`,
  );
}
