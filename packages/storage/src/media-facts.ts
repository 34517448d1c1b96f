import { imageSize } from "image-size";
import { imageSizeFromFile } from "image-size/fromFile";
import type * as Mediabunny from "mediabunny";
import pTimeout from "p-timeout";
import { animationDurationMs } from "./animation-duration.ts";
import { type WrittenFile } from "./measured-write.ts";
import { readMediaType, unlessUnreadable } from "./media-types.ts";

/** Facts that the content of a file shows. */
export interface MediaFacts {
  mediaType: string;
  width: number | null;
  height: number | null;
  durationMs: number | null;
}

type Measures = Omit<MediaFacts, "mediaType">;

const unknownMeasures: Measures = { width: null, height: null, durationMs: null };

/**
 * A parser is stopped after this time, because a crafted file could keep it busy; the file's measures are then unknown.
 */
const measureTimeoutMs = 10_000;

/**
 * Reads a file's type and measures. The name matters only if the content does not show the type. The measures of a file
 * that a parser cannot read (a truncated one, for example) are unknown, but the file is not refused.
 */
export async function readMediaFacts(file: WrittenFile, name: string): Promise<MediaFacts> {
  const mediaType = await readMediaType(file, name);
  const measures = await pTimeout(measure(file, mediaType), {
    milliseconds: measureTimeoutMs,
    fallback: () => unknownMeasures,
  });
  return { mediaType, ...measures };
}

async function measure(file: WrittenFile, mediaType: string): Promise<Measures> {
  const { path } = file;
  const kind = mediaType.split("/", 1)[0];
  if (kind === "image") {
    const [size, durationMs] = await Promise.all([
      unlessUnreadable(sizeOf(file)),
      unlessUnreadable(animationDurationMs(path, mediaType)),
    ]);
    return { width: size?.width ?? null, height: size?.height ?? null, durationMs: durationMs ?? null };
  }
  if (kind === "video" || kind === "audio") {
    // Imported with the first file that needs it, because a tenth of a second goes into loading it.
    const parser = await import("mediabunny");
    return (await unlessUnreadable(measureTracks(path, parser))) ?? unknownMeasures;
  }
  return unknownMeasures;
}

async function sizeOf({ path, content }: WrittenFile): Promise<{ width: number; height: number }> {
  // A copy of its own: the parser reads on beyond the end of a part of a larger buffer.
  return content === null ? await imageSizeFromFile(path) : imageSize(new Uint8Array(content));
}

async function measureTracks(
  path: string,
  { ALL_FORMATS, FilePathSource, Input }: typeof Mediabunny,
): Promise<Measures> {
  const source = new FilePathSource(path, { handleUnhandledError: () => undefined });
  const input = new Input({ source, formats: ALL_FORMATS });
  try {
    const picture = await input.getPrimaryVideoTrack();
    const seconds = await input.computeDuration();
    return {
      width: picture === null ? null : await picture.getDisplayWidth(),
      height: picture === null ? null : await picture.getDisplayHeight(),
      durationMs: Number.isFinite(seconds) && seconds > 0 ? Math.round(seconds * 1000) : null,
    };
  } finally {
    input.dispose();
  }
}
