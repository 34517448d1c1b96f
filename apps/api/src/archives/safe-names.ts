import { createHash } from "node:crypto";

/** Windows gives these names to devices, with any extension. */
const reserved = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?=\.|$)/i;
/** What some file system does not take in names, or what changes how a name is shown. */
const notInNames = /[\p{Surrogate}\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Noncharacter_Code_Point}/\\:*?"<>|]/gu;

const graphemes = new Intl.Segmenter("en");

/**
 * A text as one name of a file or folder that every common system takes: no separators, control characters or marks of
 * direction, not `.` or `..`, no dots or spaces at its ends, no name of a device.
 * @param bytesMax its length in UTF-8; of a longer text the begin is kept
 */
export function safeName(text: string, bytesMax: number): string {
  const cleaned = text.normalize("NFC").replace(notInNames, "_");
  // What is cut off may uncover a dot or a space.
  const trimmed = beginOf(cleaned.replace(/^[.\s]+/, ""), bytesMax - 1).replace(/[.\s]+$/, "");
  if (trimmed === "") return "_";
  return reserved.test(trimmed) ? `_${trimmed}` : trimmed;
}

/** As many characters as fit. */
function beginOf(text: string, bytesMax: number): string {
  if (Buffer.byteLength(text) <= bytesMax) return text;
  let bytes = 0;
  let begin = "";
  for (const { segment } of graphemes.segment(text)) {
    bytes += Buffer.byteLength(segment);
    if (bytes > bytesMax) break;
    begin += segment;
  }
  return begin;
}

/**
 * Sees to it that no two paths are the same, also on systems that ignore case or the composition of letters: the second
 * `rain.png` becomes `rain (2).png`. It remembers 72 bits of each path's hash, about 100 bytes of memory.
 */
export class UniquePaths {
  /** By hash: the number that a next equal path is tried with. */
  readonly #next = new Map<string, number>();

  /** @param taken paths that nothing else may have */
  constructor(taken: readonly string[]) {
    for (const path of taken) this.#next.set(hashOf(path), 2);
  }

  /** @param extension is kept at the end, such as `.png` */
  take(stem: string, extension: string): string {
    const wanted = `${stem}${extension}`;
    const hash = hashOf(wanted);
    const number = this.#next.get(hash);
    if (number === undefined) {
      this.#next.set(hash, 2);
      return wanted;
    }
    for (let tried = number; ; tried += 1) {
      const numbered = `${stem} (${tried})${extension}`;
      const ofNumbered = hashOf(numbered);
      if (this.#next.has(ofNumbered)) continue;
      this.#next.set(hash, tried + 1);
      this.#next.set(ofNumbered, 2);
      return numbered;
    }
  }
}

function hashOf(path: string): string {
  return createHash("sha256").update(folded(path)).digest("base64").slice(0, 12);
}

/** Equal for names that some system takes for the same. */
export function folded(name: string): string {
  return name.normalize("NFC").toLowerCase().toUpperCase().normalize("NFC");
}
