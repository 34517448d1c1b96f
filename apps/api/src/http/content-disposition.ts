import { create } from "content-disposition";

/**
 * Raster images, audio and video, which a browser shows without running anything in them: these types are told by a
 * file's content when it is stored, not by its name. Not SVG, which may hold scripts; not text, which any content is.
 */
const shown = /^(image\/(png|jpeg|gif|webp|avif|apng|bmp|tiff|heic|heif|jxl)|(video|audio)\/[\w.+-]+)(;|$)/;

/** Sounds and videos. */
export function isPlayed(mediaType: string): boolean {
  return isSafeToShow(mediaType) && !mediaType.startsWith("image/");
}

export function isSafeToShow(mediaType: string): boolean {
  return shown.test(mediaType);
}

/** Most file systems take 255 bytes, and whoever saves the file may add something of his own (`(1)`, `.part`). */
const nameBytesMax = 200;

/**
 * A `Content-Disposition` (RFC 6266) for a name that somebody else chose: plain characters for old clients, and the
 * whole name in UTF-8 for the rest. Separators, control characters, marks that turn the direction of writing and leading
 * dots are taken out of both. Of a long name its end is kept, which says what kind of file it is.
 */
export function contentDisposition(kind: "inline" | "attachment", filename: string): string {
  const cleaned = filename
    .replace(/\p{Surrogate}/gu, "")
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029/\\]/gu, "_")
    .replace(/^[.\s]+/, "");
  const whole = endOf(cleaned) || "output";
  // Quotes and percent signs mean something to clients that read a header by their own rules.
  const plain = whole.replace(/[^\x20-\x7e]|["%;\\]/gu, "_");
  return create(whole, { type: kind, fallback: plain });
}

const graphemes = new Intl.Segmenter("en");

/** As many characters from the end as fit. */
function endOf(name: string): string {
  const characters = Array.from(graphemes.segment(name), ({ segment }) => segment);
  let bytes = 0;
  let begin = characters.length;
  for (; begin > 0; begin -= 1) {
    bytes += Buffer.byteLength(characters[begin - 1] ?? "");
    if (bytes > nameBytesMax) break;
  }
  return characters.slice(begin).join("");
}
