import { promisify, types } from "node:util";
import { inflate } from "node:zlib";

/** ComfyUI reads images with Pillow, which inflates at most this much of one chunk (`MAX_TEXT_CHUNK`). */
const chunkBytesMax = 1024 * 1024;
/** Pillow reads at most this much of all texts together (`MAX_TEXT_MEMORY`). */
const textBytesMax = 64 * chunkBytesMax;

const inflateAtMost = promisify(inflate);
const signature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");

/**
 * Checks the texts and colour profiles of a PNG, which may be compressed: a file of a few kilobytes may expand to
 * gigabytes. A server fails on such a file in the middle of a job.
 * @returns what is wrong with the file, if anything
 */
export async function findSwollenChunk(image: Buffer): Promise<string | undefined> {
  if (!image.subarray(0, 8).equals(signature)) return undefined;
  let textBytes = 0;
  for (const { type, data } of chunksOf(image)) {
    const compressed = compressedPartOf(type, data);
    const bytes = compressed === undefined ? data.length : await inflatedBytes(compressed);
    if (bytes === undefined) {
      return `its chunk ${type} holds more than ${chunkBytesMax} bytes once it is decompressed`;
    }
    if (type !== "iCCP") textBytes += bytes;
    if (textBytes > textBytesMax) return `its texts hold more than ${textBytesMax} bytes`;
  }
  return undefined;
}

/**
 * Yields the chunks with texts and profiles. A chunk has a length, a type, data and a checksum (PNG specification,
 * section 5.3).
 */
function* chunksOf(image: Buffer): Generator<{ type: string; data: Buffer }> {
  for (let at = signature.length; at + 8 <= image.length;) {
    const bytes = image.readUInt32BE(at);
    const type = image.toString("latin1", at + 4, at + 8);
    if (type === "IEND") return;
    if (/^(tEXt|zTXt|iTXt|iCCP)$/.test(type)) yield { type, data: image.subarray(at + 8, at + 8 + bytes) };
    at += 12 + bytes;
  }
}

/** PNG specification, sections 11.3.3.3 (iCCP: name, method, data), 11.3.4.3 (zTXt) and 11.3.4.5 (iTXt). */
function compressedPartOf(type: string, data: Buffer): Buffer | undefined {
  const nameEnd = data.indexOf(0);
  if (nameEnd < 0 || type === "tEXt") return undefined;
  if (type !== "iTXt") return data.subarray(nameEnd + 2);
  const languageEnd = data.indexOf(0, nameEnd + 3);
  const keywordEnd = languageEnd < 0 ? -1 : data.indexOf(0, languageEnd + 1);
  return data[nameEnd + 1] === 0 || keywordEnd < 0 ? undefined : data.subarray(keywordEnd + 1);
}

/**
 * The size after inflating, or `undefined` when it is too large. Data that cannot be inflated counts as 0 bytes, since
 * servers skip it.
 */
async function inflatedBytes(compressed: Buffer): Promise<number | undefined> {
  try {
    return (await inflateAtMost(compressed, { maxOutputLength: chunkBytesMax })).length;
  } catch (error) {
    return types.isNativeError(error) && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE"
      ? undefined
      : 0;
  }
}
