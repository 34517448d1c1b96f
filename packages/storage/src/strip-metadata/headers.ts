import { type ByteReader } from "./byte-reader.ts";

/** The header of these formats is read whole, up to this size. Real headers are smaller. */
const headerBytesMax = 64 * 1024 * 1024;

/** GLB: removes the notes in `asset.extras`, and fills the header up with spaces to its old length. */
export async function* stripGlb(reader: ByteReader): AsyncGenerator<Buffer> {
  yield* reader.pass(12);
  const head = await reader.peek(8);
  if (head.length < 8 || head.toString("latin1", 4) !== "JSON") return;
  yield* reader.pass(8);
  yield* changedHeader(reader, head.readUInt32LE(0), (header) => {
    const { asset } = header;
    if (isObject(asset)) delete asset["extras"];
  });
}

/** Latents and other safetensors: removes the free texts, and fills the header up with spaces to its old length. */
export async function* stripSafetensors(reader: ByteReader): AsyncGenerator<Buffer> {
  const head = await reader.take(8);
  yield head;
  yield* changedHeader(reader, Number(head.readBigUInt64LE(0)), (header) => {
    delete header["__metadata__"];
  });
}

async function* changedHeader(
  reader: ByteReader,
  bytes: number,
  change: (header: Record<string, unknown>) => void,
): AsyncGenerator<Buffer> {
  if (bytes > headerBytesMax) return;
  const text = await reader.take(bytes);
  const header = parseObject(text);
  if (header === undefined) {
    yield text;
    return;
  }
  change(header);
  const changed = Buffer.from(JSON.stringify(header));
  // Numbers may become longer when they are written again. If the header becomes longer, it stays as it was.
  yield changed.length > text.length
    ? text
    : Buffer.concat([changed, Buffer.alloc(text.length - changed.length, " ")]);
}

/**
 * EXR: overwrites texts with spaces and moves nothing, because a table of file positions follows the header. Texts that
 * describe the format stay.
 */
export async function* stripExr(reader: ByteReader): AsyncGenerator<Buffer> {
  yield* reader.pass(8);
  for (;;) {
    // Name and type each end with a zero byte; each has at most 255 bytes.
    const start = await reader.peek(2 * 256 + 4);
    const nameEnd = start.indexOf(0);
    const typeEnd = start.indexOf(0, nameEnd + 1);
    if (nameEnd <= 0 || typeEnd < 0 || start.length < typeEnd + 5) return;
    const name = start.toString("latin1", 0, nameEnd);
    const type = start.toString("latin1", nameEnd + 1, typeEnd);
    const bytes = start.readUInt32LE(typeEnd + 1);
    yield* reader.pass(typeEnd + 5);
    if (type !== "string" || formNames.has(name)) yield* reader.pass(bytes);
    else for await (const part of reader.pass(bytes)) yield Buffer.alloc(part.length, " ");
  }
}
const formNames = new Set(["name", "type", "view", "colorInteropID"]);

/** SVG: leaves `metadata` elements out. */
export async function* stripSvg(reader: ByteReader): AsyncGenerator<Buffer> {
  const bytes = await reader.take(headerBytesMax);
  // Latin-1 maps each byte to one character, so the file's character set does not matter.
  const text = bytes.toString("latin1");
  yield Buffer.from(withoutMetadata(text), "latin1");
}

/**
 * Searches the text once from start to end. A single regular expression would search to the end again for each element
 * that is never closed.
 */
function withoutMetadata(text: string): string {
  const [begin, end] = [/<metadata(?=[\s/>])/gi, /<\/metadata\s{0,100}>/gi];
  let copy = "";
  let copied = 0;
  for (let found = begin.exec(text); found !== null; found = begin.exec(text)) {
    const headEnd = text.indexOf(">", found.index);
    if (headEnd < 0) break;
    let elementEnd = headEnd + 1;
    if (text[headEnd - 1] !== "/") {
      end.lastIndex = elementEnd;
      if (end.exec(text) === null) break;
      elementEnd = end.lastIndex;
    }
    copy += text.slice(copied, found.index);
    copied = elementEnd;
    begin.lastIndex = elementEnd;
  }
  return copy + text.slice(copied);
}

function parseObject(text: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text.toString("utf8"));
    return isObject(value) ? value : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
