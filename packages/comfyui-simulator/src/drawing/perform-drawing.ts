import { writeFile } from "node:fs/promises";
import sharp, { type Sharp } from "sharp";
import { type DrawingJob } from "./drawing-job.ts";
import { encodeExr } from "./exr.ts";
import { withJfif } from "./jfif.ts";
import { type Picture } from "./picture.ts";
import { encodeAnimatedPng, encodePng, type Pixels } from "./png.ts";
import { Random } from "./random.ts";
import { renderPicture } from "./render-picture.ts";
import { encodeSilence, encodeVideo } from "./video-encoder.ts";

const nothing = new Uint8Array();

/** Does one drawing job. @returns the requested bytes; nothing when the job writes a file */
export async function performDrawing(job: DrawingJob, onFrame: () => void): Promise<Uint8Array> {
  switch (job.kind) {
    case "png":
      await writeFile(job.file, encodePng(await renderPicture(job.picture), job.texts, job.level));
      return nothing;
    case "animated-png": {
      const frames = await renderAll(job.pictures, onFrame);
      await writeFile(job.file, encodeAnimatedPng(merged(frames), job.framesPerSecond, job.texts, job.level));
      return nothing;
    }
    case "animated-webp": {
      const { image, count } = await stacked(job.pictures, onFrame);
      const delay = delays(count, job.framesPerSecond);
      await image
        .webp({ quality: Math.max(1, job.quality), lossless: job.isLossless, effort: 2, delay, loop: 0 })
        .toFile(job.file);
      return nothing;
    }
    case "gif": {
      const { image, count } = await stacked(job.pictures, onFrame);
      const delay = delays(count, job.framesPerSecond);
      await image.gif({ delay, loop: job.loops, effort: 3 }).toFile(job.file);
      return nothing;
    }
    case "video":
      await encodeVideo(job, onFrame);
      return nothing;
    case "exr":
      await writeFile(job.file, encodeExr(await renderPicture(job.picture)));
      return nothing;
    case "silence":
      await encodeSilence(job);
      return nothing;
    case "preview":
      return drawPreview(job);
    case "corners":
      return corners(await renderPicture(job.picture));
  }
}

async function renderAll(pictures: readonly Picture[], onFrame: () => void): Promise<Pixels[]> {
  const frames: Pixels[] = [];
  for (const picture of pictures) {
    frames.push(await renderPicture(picture));
    onFrame();
  }
  return frames;
}

/** Merges equal neighbouring frames into one, as the server's animation writers do. A single frame stays one frame. */
function merged(frames: readonly Pixels[]): Pixels[] {
  return frames.filter((frame, index) => {
    const before = frames[index - 1];
    return before === undefined || !Buffer.from(frame.rgb).equals(Buffer.from(before.rgb));
  });
}

/** All frames on top of each other, which is how sharp takes an animation. */
async function stacked(
  pictures: readonly Picture[],
  onFrame: () => void,
): Promise<{ image: Sharp; count: number }> {
  const frames = merged(await renderAll(pictures, onFrame));
  const [first] = frames;
  if (!first) throw new RangeError("an animation needs a frame");
  const { width, height } = first;
  const data = Buffer.concat(frames.map((frame) => frame.rgb));
  const raw = { width, height: height * frames.length, channels: 3, pageHeight: height } as const;
  return { image: sharp(data, { raw }), count: frames.length };
}

/** How long each frame is shown, in ms. A single number would count for the first frame only. */
function delays(count: number, framesPerSecond: number): number[] {
  return Array.from({ length: count }, () => Math.round(1_000 / framesPerSecond));
}

/**
 * Draws a preview that resembles a half-denoised latent: few large pixels, with the picture visible through the noise.
 */
async function drawPreview(job: Extract<DrawingJob, { kind: "preview" }>): Promise<Uint8Array> {
  const { picture, noise, sizeMax } = job;
  const scale = sizeMax === undefined ? 1 : sizeMax / Math.max(picture.width, picture.height);
  const [width, height] = [
    Math.max(1, Math.round(picture.width * scale)),
    Math.max(1, Math.round(picture.height * scale)),
  ];
  const pixels = await renderPicture(picture);
  let image = sharp(pixels.rgb, { raw: { width: pixels.width, height: pixels.height, channels: 3 } });
  if (noise > 0) {
    const small = { width: Math.ceil(picture.width / 8), height: Math.ceil(picture.height / 8) };
    const latent = await image
      .resize({ ...small, fit: "fill", kernel: "linear" })
      .raw()
      .toBuffer();
    image = sharp(noisy(latent, noise), { raw: { ...small, channels: 3 } });
  }
  if (noise > 0 || scale !== 1) image = image.resize({ width, height, fit: "fill", kernel: "linear" });
  return job.format === "png"
    ? image.png({ compressionLevel: 4 }).toBuffer()
    : withJfif(await image.jpeg({ quality: 85 }).toBuffer());
}

function noisy(rgb: Buffer, noise: number): Buffer {
  const random = new Random(`noise ${noise}`);
  const mixed = Buffer.allocUnsafe(rgb.length);
  for (let at = 0; at < rgb.length; at += 1) {
    const grain = 128 + (random.next() + random.next() - 1) * 170;
    mixed[at] = Math.max(0, Math.min(255, (rgb[at] ?? 0) * (1 - noise) + grain * noise));
  }
  return mixed;
}

/**
 * The first 3 and last 3 pixels of the first 3 and last 3 rows, which are the numbers that Python prints of a large
 * tensor.
 */
function corners({ width, height, rgb }: Pixels): Uint8Array {
  const edge = (size: number): number[] =>
    size > 6
      ? [0, 1, 2, size - 3, size - 2, size - 1]
      : Array.from({ length: size }, (_unused, index) => index);
  const values: number[] = [];
  for (const y of edge(height)) {
    for (const x of edge(width)) values.push(...rgb.subarray((y * width + x) * 3, (y * width + x) * 3 + 3));
  }
  return Uint8Array.from(values);
}
