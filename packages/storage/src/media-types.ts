import { open } from "node:fs/promises";
import { extname } from "node:path";
import { fileTypeFromBuffer, fileTypeFromFile } from "file-type";
import { Mime } from "mime";
import otherTypes from "mime/types/other.js";
import standardTypes from "mime/types/standard.js";
import { type WrittenFile } from "./measured-write.ts";
import { hasCode, isFileError } from "./storage-errors.ts";

const sampleBytes = 4096;

/** Types by file ending that the registry lacks, or for which ComfyUI's users use another name. */
const names = new Mime(standardTypes, otherTypes).define(
  {
    "image/x-exr": ["exr"],
    "image/vnd.radiance": ["hdr"],
    "audio/flac": ["flac"],
    "model/ply": ["ply"],
    "model/x-splat": ["splat"],
    "model/x-ksplat": ["ksplat"],
    "model/x-spz": ["spz"],
    "model/x-bvh": ["bvh"],
    "model/gltf-binary": ["glb", "vrm"],
    "application/x-safetensors": ["safetensors", "latent"],
    "application/x-numpy": ["npy", "npz"],
    "application/jsonl": ["jsonl", "ndjson"],
    "text/x-ass": ["ass", "ssa"],
    "text/plain": ["txt", "log", "lrc"],
  },
  true,
);

/** The names that the content detector gives to some types, and the names that clients know. */
const aliases: Readonly<Record<string, string>> = {
  "audio/x-m4a": "audio/mp4",
  "audio/aiff": "audio/x-aiff",
  "video/matroska": "video/x-matroska",
  "video/vnd.avi": "video/x-msvideo",
  "application/x.autodesk.fbx": "application/vnd.autodesk.fbx",
};

/** Types that only the name can show, by the form of content that holds them. */
const heldBy: Readonly<Record<string, readonly string[]>> = {
  "application/xml": ["image/svg+xml", "model/vnd.collada+xml", "application/xml"],
  "application/zip": ["model/vnd.usdz+zip", "model/3mf", "application/x-numpy"],
  "application/gzip": ["model/x-spz"],
};

/** Types of binary files without a mark in their content: only their name shows the type. */
const unmarked: ReadonlySet<string> = new Set(["model/x-splat", "model/x-ksplat", "image/x-tga"]);

/** Types whose files are texts, beside those under `text/`. */
const textual =
  /^(text\/|model\/(obj|mtl|stl|ply|vnd\.usda|x-bvh)$|application\/(json|jsonl|yaml|toml|xml|x-subrip|vnd\.autodesk\.fbx)$|.*\+(json|xml)$)/;

/**
 * The media type of a file. The content decides if it shows the type. The name decides between types that share a form
 * (an SVG is XML, a USDZ is a ZIP), between kinds of text, and for the few forms without any mark.
 *
 * @param name a name with the ending that the node gave the file
 */
export async function readMediaType(file: WrittenFile, name: string): Promise<string> {
  const byName = names.getType(extname(name).toLowerCase()) ?? undefined;
  const { sample, bytes } = await readSample(file);
  // Own marks are checked first, because a file that the detector does not know may by chance begin like a sound file.
  const marked = typeByMark(sample, bytes);
  if (marked !== undefined) return marked;
  if (byName !== undefined && unmarked.has(byName)) return byName;
  const detected = (await unlessUnreadable(detect(file)))?.mime;
  if (detected !== undefined) {
    if (byName !== undefined && heldBy[detected]?.includes(byName) === true) return byName;
    return aliases[detected] ?? detected;
  }
  return byName !== undefined && textual.test(byName) && isText(sample) ? byName : "application/octet-stream";
}

async function detect({ path, content }: WrittenFile): Promise<{ mime: string } | undefined> {
  return content === null ? await fileTypeFromFile(path) : await fileTypeFromBuffer(content);
}

/** Types that the detector does not know, by marks in the content. */
function typeByMark(sample: Buffer, bytes: number): string | undefined {
  const begin = sample.toString("latin1", 0, 16);
  if (begin.startsWith("v/1\x01")) return "image/x-exr";
  if (/^#\?(RADIANCE|RGBE)\n/.test(begin)) return "image/vnd.radiance";
  if (/^ply\r?\n/.test(begin)) return "model/ply";
  if (begin.startsWith("\x93NUMPY")) return "application/x-numpy";
  // A safetensors file: a length of 8 bytes, then a JSON object (https://github.com/huggingface/safetensors).
  if (/^[^]{4}\0{4}\{/.test(begin)) return "application/x-safetensors";
  // An STL file: 80 arbitrary bytes, the number of triangles, and 50 bytes for each.
  const isStl = sample.length >= 84 && bytes === 84 + 50 * sample.readUInt32LE(80);
  return isStl ? "model/stl" : undefined;
}

async function readSample({ path, content }: WrittenFile): Promise<{ sample: Buffer; bytes: number }> {
  if (content !== null) return { sample: content.subarray(0, sampleBytes), bytes: content.length };
  const handle = await open(path);
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(sampleBytes), 0, sampleBytes, 0);
    return { sample: buffer.subarray(0, bytesRead), bytes: (await handle.stat()).size };
  } finally {
    await handle.close();
  }
}

/** Whether the first kilobytes are UTF-8 without control characters. */
function isText(sample: Buffer): boolean {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(sample, { stream: true });
    // eslint-disable-next-line no-control-regex -- Control characters are what tells data from text.
    return !/[\x00-\x08\x0e-\x1f]/.test(text);
  } catch (error) {
    if (hasCode(error, "ERR_ENCODING_INVALID_ENCODED_DATA")) return false;
    throw error;
  }
}

/**
 * Returns `undefined` if a parser cannot read the bytes, whichever error it throws. An error of the disk is thrown on.
 */
export async function unlessUnreadable<Fact>(reading: Promise<Fact>): Promise<Fact | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (isFileError(error)) throw error;
    return undefined;
  }
}
