import { createHash } from "node:crypto";
import { uploadMediaTypes, type UploadMediaType } from "@genga/jobs";
import { fileTypeFromBuffer } from "file-type";
import { findSwollenChunk } from "./png-chunks.ts";
import { RefusedError } from "../http/problem-document.ts";

/** The largest image. */
export const imageBytesMax = 20 * 1024 * 1024;
const sideMin = 16;
const sideMax = 8192;
const pixelsMax = 32 * 1024 * 1024;

/** Facts about an image that was decoded completely. */
export interface ImageFacts {
  mediaType: UploadMediaType;
  sha256: string;
  bytes: number;
  /** In pixels, after the rotation that the file itself asks for, since servers apply it, too. */
  width: number;
  height: number;
}

/**
 * Validates an image by its content; its name and its declared type are not trusted. The image is decoded completely,
 * since a server would notice a broken one only when a job uses it.
 * @throws RefusedError `unsupported-media-type`, `invalid-image`, `body-too-large`
 */
export async function readImage(image: Buffer): Promise<ImageFacts> {
  if (image.length === 0) throw new RefusedError("invalid-image", "The image is empty.");
  if (image.length > imageBytesMax) {
    throw new RefusedError("body-too-large", `An image may have ${imageBytesMax} bytes.`);
  }
  const found = (await fileTypeFromBuffer(image))?.mime;
  // Of an animated PNG only the first frame is read, as servers do.
  const mime = found === "image/apng" ? "image/png" : found;
  const mediaType = uploadMediaTypes.find((type) => type === mime);
  if (mediaType === undefined) {
    const accepted = uploadMediaTypes.join(", ");
    throw new RefusedError(
      "unsupported-media-type",
      `The content is ${found ?? "of no known type"}; it must be one of ${accepted}.`,
    );
  }
  const swollen = await findSwollenChunk(image);
  if (swollen !== undefined) throw new RefusedError("invalid-image", `The image cannot be used: ${swollen}.`);
  const { width, height } = await measure(image);
  const sha256 = createHash("sha256").update(image).digest("hex");
  return { mediaType, sha256, bytes: image.length, width, height };
}

async function measure(image: Buffer): Promise<{ width: number; height: number }> {
  // Imported with the first image, because a tenth of a second goes into loading it.
  const { default: sharp } = await import("sharp");
  const { autoOrient } = await readable(sharp(image, { limitInputPixels: false }).metadata());
  const { width, height } = autoOrient;
  const isFitting =
    Math.min(width, height) >= sideMin && Math.max(width, height) <= sideMax && width * height <= pixelsMax;
  if (!isFitting) {
    throw new RefusedError(
      "invalid-image",
      `The image is ${width} × ${height}; sides may have ${sideMin} to ${sideMax} pixels, and all of it ${pixelsMax}.`,
    );
  }
  await readable(sharp(image, { failOn: "truncated", limitInputPixels: pixelsMax }).stats());
  return { width, height };
}

/** Turns any error of the decoder into a refusal of the image. */
async function readable<Result>(reading: Promise<Result>): Promise<Result> {
  try {
    return await reading;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split("\n", 1)[0] : String(error);
    throw new RefusedError("invalid-image", `The image cannot be read: ${reason?.slice(0, 200) ?? ""}`, {
      cause: error,
    });
  }
}
