import { RefusedError, type ProblemCode } from "../http/problem-document.ts";

/** The largest picture, also if it moves. */
export const imageBytesMax = 20 * 1024 * 1024;
/** The largest file: with its form it stays within the 100 MiB that a ComfyUI takes unless it is told otherwise. */
export const fileBytesMax = 96 * 1024 * 1024;
/** The most files of one form. */
export const filesMax = 16;

const sideMin = 16;
const sideMax = 8192;
const pixelsMax = 32 * 1024 * 1024;
const framesMax = 20_000;
const durationMaxMs = 10 * 60_000;
/** Pixels of all frames together, as some loaders hold them: about one minute of Full HD at 30 frames a second. */
const framePixelsMax = 4_000_000_000;

/** What is known of a picture, an animation or a video, before any of its frames is decoded. */
export interface Measures {
  width: number;
  height: number;
  /** 1 of a still picture. */
  frames: number;
  /** `null` of a still picture. */
  durationMs: number | null;
}

/**
 * Refuses what would take a server's memory or time: small files may hold huge pictures, and many of them.
 * @throws RefusedError
 */
export function assertWithinLimits(
  { width, height, frames, durationMs }: Measures,
  code: ProblemCode & `invalid-${string}`,
): void {
  const what = code === "invalid-image" ? "The image" : "The video";
  const refuse = (problem: string): never => {
    throw new RefusedError(code, `${what} ${problem}.`);
  };
  const isFitting =
    Math.min(width, height) >= sideMin && Math.max(width, height) <= sideMax && width * height <= pixelsMax;
  if (!isFitting) {
    const limits = `sides may have ${sideMin} to ${sideMax} pixels, and all of it ${pixelsMax}`;
    refuse(`is ${width} × ${height}; ${limits}`);
  }
  if (frames > framesMax) refuse(`has ${frames} frames, of at most ${framesMax}`);
  if ((durationMs ?? 0) > durationMaxMs) refuse(`takes ${durationMs ?? 0} ms, of at most ${durationMaxMs}`);
  if (frames > 1 && width * height * frames > framePixelsMax) {
    refuse(
      `has ${frames} frames of ${width} × ${height}; all frames together may have ${framePixelsMax} pixels`,
    );
  }
}
