// What ComfyUI writes of the graph into its pictures: a text chunk `prompt` in PNG, EXIF tags in WebP. The files come from
// anywhere, so that every length is checked, and what is read is bounded.

const chunksMax = 10_000;
const textBytesMax = 8_000_000;
const pngSignature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

export type FoundGraph =
  | { readonly graph: string; readonly reason?: never }
  /** Why there is none, for people. */
  | { readonly graph?: never; readonly reason: string };

/** The graph, in API format, that a picture was made with; of a file of JSON its text. */
export async function graphOfFile(file: Blob): Promise<FoundGraph> {
  const head = new Uint8Array(await file.slice(0, 12).arrayBuffer());
  if (pngSignature.every((byte, index) => head[index] === byte)) return found(await textsOfPng(file));
  if (ascii(head, 0, 4) === "RIFF" && ascii(head, 8, 12) === "WEBP") return found(await textsOfWebp(file));
  if (file.size > textBytesMax) return { reason: "The file is neither a PNG, a WebP nor JSON of a graph." };
  const text = (await file.text()).trim();
  if (text.startsWith("{")) return { graph: text };
  return { reason: "The file is neither a PNG, a WebP nor JSON of a graph." };
}

function found(texts: ReadonlyMap<string, string>): FoundGraph {
  const graph = texts.get("prompt");
  if (graph?.trimStart().startsWith("{") === true) return { graph };
  return {
    reason: texts.has("workflow")
      ? "The picture has only the editor's form of its graph. Export the graph in API format from ComfyUI."
      : "The picture does not say how it was made. Its metadata may have been removed.",
  };
}

async function textsOfPng(file: Blob): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  let at = pngSignature.length;
  for (let count = 0; count < chunksMax && at + 8 <= file.size; count += 1) {
    const head = new DataView(await file.slice(at, at + 8).arrayBuffer());
    const length = head.getUint32(0);
    const type = ascii(new Uint8Array(head.buffer), 4, 8);
    if (type === "IEND") break;
    if (/^(tEXt|zTXt|iTXt)$/.test(type) && length <= textBytesMax) {
      const entry = await readText(
        type,
        new Uint8Array(await file.slice(at + 8, at + 8 + length).arrayBuffer()),
      );
      if (entry !== undefined && !texts.has(entry[0])) texts.set(...entry);
    }
    at += 12 + length;
  }
  return texts;
}

/** PNG, 11.3.4: a keyword, a zero byte, and the text; latin-1, or UTF-8 in iTXt. */
async function readText(type: string, bytes: Uint8Array<ArrayBuffer>): Promise<[string, string] | undefined> {
  const end = bytes.indexOf(0);
  if (end < 1 || end > 79) return undefined;
  const keyword = ascii(bytes, 0, end);
  if (keyword !== "prompt" && keyword !== "workflow") return undefined;
  if (type === "tEXt") return [keyword, new TextDecoder("latin1").decode(bytes.subarray(end + 1))];
  if (type === "zTXt") {
    const text = await inflated(bytes.subarray(end + 2));
    return text === undefined ? undefined : [keyword, new TextDecoder("latin1").decode(text)];
  }
  const isCompressed = bytes[end + 1] === 1;
  const language = bytes.indexOf(0, end + 3);
  const translated = language === -1 ? -1 : bytes.indexOf(0, language + 1);
  if (translated === -1) return undefined;
  const rest = bytes.subarray(translated + 1);
  const text = isCompressed ? await inflated(rest) : rest;
  return text === undefined ? undefined : [keyword, new TextDecoder().decode(text)];
}

/** undefined where it is broken, or becomes too large. */
async function inflated(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array | undefined> {
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  const parts: Uint8Array[] = [];
  let size = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      size += value.length;
      if (size > textBytesMax) {
        await reader.cancel();
        return undefined;
      }
      parts.push(value);
    }
  } catch {
    return undefined;
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

async function textsOfWebp(file: Blob): Promise<Map<string, string>> {
  let at = 12;
  for (let count = 0; count < chunksMax && at + 8 <= file.size; count += 1) {
    const head = new DataView(await file.slice(at, at + 8).arrayBuffer());
    const length = head.getUint32(4, true);
    if (ascii(new Uint8Array(head.buffer), 0, 4) === "EXIF") {
      if (length > textBytesMax) break;
      return textsOfExif(new Uint8Array(await file.slice(at + 8, at + 8 + length).arrayBuffer()));
    }
    at += 8 + length + (length % 2);
  }
  return new Map();
}

const asciiType = 2;

/** TIFF 6.0, 2: the texts of the first directory, which are `prompt:{…}` and `workflow:{…}`. */
function textsOfExif(given: Uint8Array): Map<string, string> {
  const texts = new Map<string, string>();
  const bytes = ascii(given, 0, 4) === "Exif" ? given.subarray(6) : given;
  if (bytes.length < 8) return texts;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isLittle = ascii(bytes, 0, 2) === "II";
  const directory = view.getUint32(4, isLittle);
  if (directory + 2 > bytes.length) return texts;
  const count = view.getUint16(directory, isLittle);
  for (let index = 0; index < count; index += 1) {
    const entry = directory + 2 + index * 12;
    if (entry + 12 > bytes.length) break;
    const length = view.getUint32(entry + 4, isLittle);
    const place = view.getUint32(entry + 8, isLittle);
    if (view.getUint16(entry + 2, isLittle) !== asciiType || length <= 4 || place + length > bytes.length)
      continue;
    const text = new TextDecoder().decode(bytes.subarray(place, place + length)).replace(/\0+$/, "");
    const [, keyword, value] = /^(prompt|workflow):([^]*)$/i.exec(text) ?? [];
    if (keyword !== undefined && value !== undefined) texts.set(keyword.toLowerCase(), value);
  }
  return texts;
}

function ascii(bytes: Uint8Array, from: number, to: number): string {
  return String.fromCharCode(...bytes.subarray(from, to));
}
