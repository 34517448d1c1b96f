import { findSwollenChunk } from "./png-chunks.ts";
import { assertWithinLimits, type Measures } from "./upload-limits.ts";
import { RefusedError } from "../http/problem-document.ts";

/**
 * Validates a picture, or the first frame of an animation, by decoding it completely, since a server would notice a
 * broken one only when a job uses it. Of the other frames only the headers are read. Its sides are those after the
 * rotation that the file itself asks for, since servers apply it, too.
 * @throws RefusedError `invalid-image`
 */
export async function readImage(image: Buffer): Promise<Measures> {
  const swollen = await findSwollenChunk(image);
  if (swollen !== undefined) throw new RefusedError("invalid-image", `The image cannot be used: ${swollen}.`);
  // Imported with the first image, because a tenth of a second goes into loading it.
  const { default: sharp } = await import("sharp");
  const {
    autoOrient,
    pages = 1,
    delay = [],
  } = await readable(sharp(image, { limitInputPixels: false }).metadata());
  const screen = screenOfGif(image);
  const width = Math.max(autoOrient.width, screen.width);
  const height = Math.max(autoOrient.height, screen.height);
  const durationMs = pages === 1 ? null : delay.reduce((sum, each) => sum + each, 0);
  // An animation without delays is shown at some speed of the viewer's choice.
  const measures = { width, height, frames: pages, durationMs: durationMs === 0 ? null : durationMs };
  assertWithinLimits(measures, "invalid-image");
  await readable(sharp(image, { failOn: "truncated", limitInputPixels: width * height }).stats());
  return measures;
}

/** The screen on which a GIF's frames are drawn. This decoder does not believe in large ones, but those of servers do. */
function screenOfGif(image: Buffer): { width: number; height: number } {
  const isGif = image.length >= 10 && image.toString("latin1", 0, 4) === "GIF8";
  return isGif ? { width: image.readUInt16LE(6), height: image.readUInt16LE(8) } : { width: 0, height: 0 };
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
