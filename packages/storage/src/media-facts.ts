import { open } from "node:fs/promises";
import { extname } from "node:path";
import { fileTypeFromFile } from "file-type";
import { imageSizeFromFile } from "image-size/fromFile";
import { ALL_FORMATS, FilePathSource, Input } from "mediabunny";
import { animationDurationMs } from "./animation-duration.ts";
import { hasCode, isFileError } from "./storage-errors.ts";

/** What a file says about itself. */
export interface MediaFacts {
  mediaType: string;
  width: number | null;
  height: number | null;
  durationMs: number | null;
}

type Measures = Omit<MediaFacts, "mediaType">;

const unknownMeasures: Measures = { width: null, height: null, durationMs: null };

/** A crafted file may make a parser work for very long; its measures are then not known. */
const measureTimeoutMs = 10_000;
const sampleBytes = 4096;

/**
 * Looks into a file; its name only matters for texts, which do not say what they are. A file that a parser cannot make
 * sense of (truncated, say) has unknown measures: that is no reason to refuse it.
 */
export async function readMediaFacts(path: string, name: string): Promise<MediaFacts> {
  const mediaType = await readMediaType(path, extname(name).toLowerCase());
  const measures = await within(measureTimeoutMs, measure(path, mediaType));
  return { mediaType, ...(measures ?? unknownMeasures) };
}

async function readMediaType(path: string, extension: string): Promise<string> {
  const detected = (await unlessUnreadable(fileTypeFromFile(path)))?.mime;
  const byName = textTypes.get(extension);
  if (detected === "application/xml" && byName === "image/svg+xml") return byName;
  if (detected !== undefined) return detected;
  if (byName !== undefined && (await looksLikeText(path))) return byName;
  return "application/octet-stream";
}

async function measure(path: string, mediaType: string): Promise<Measures> {
  const kind = mediaType.split("/", 1)[0];
  if (kind === "image") {
    const [size, durationMs] = await Promise.all([
      unlessUnreadable(imageSizeFromFile(path)),
      unlessUnreadable(animationDurationMs(path, mediaType)),
    ]);
    return { width: size?.width ?? null, height: size?.height ?? null, durationMs: durationMs ?? null };
  }
  if (kind === "video" || kind === "audio")
    return (await unlessUnreadable(measureTracks(path))) ?? unknownMeasures;
  return unknownMeasures;
}

async function measureTracks(path: string): Promise<Measures> {
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

const textTypes = new Map([
  [".txt", "text/plain"],
  [".log", "text/plain"],
  [".md", "text/markdown"],
  [".csv", "text/csv"],
  [".html", "text/html"],
  [".srt", "application/x-subrip"],
  [".vtt", "text/vtt"],
  [".json", "application/json"],
  [".svg", "image/svg+xml"],
]);

/** UTF-8 without control characters, as far as the first kilobytes tell. */
async function looksLikeText(path: string): Promise<boolean> {
  const handle = await open(path);
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(sampleBytes), 0, sampleBytes, 0);
    const text = new TextDecoder("utf-8", { fatal: true }).decode(buffer.subarray(0, bytesRead), {
      stream: true,
    });
    // eslint-disable-next-line no-control-regex -- Control characters are what tells data from text.
    return !/[\x00-\x08\x0e-\x1f]/.test(text);
  } catch (error) {
    if (hasCode(error, "ERR_ENCODING_INVALID_ENCODED_DATA")) return false;
    throw error;
  } finally {
    await handle.close();
  }
}

/** The parsers' verdict on bytes that make no sense is `undefined`, whatever they raise; a failing disk is no verdict. */
async function unlessUnreadable<Fact>(reading: Promise<Fact>): Promise<Fact | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (isFileError(error)) throw error;
    return undefined;
  }
}

async function within<Fact>(timeoutMs: number, reading: Promise<Fact>): Promise<Fact | null> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<null>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, null);
  });
  reading.catch(() => undefined); // It may fail after its time has passed.
  try {
    return await Promise.race([reading, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
