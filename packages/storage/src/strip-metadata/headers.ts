import { type ByteReader } from "./byte-reader.ts";

/** Formats with a header of texts in one piece, which is read whole up to this size. Nobody's header is larger. */
const headerBytesMax = 64 * 1024 * 1024;

/** GLB: takes what authors noted out of `asset.extras`; the header keeps its length, since spaces fill it up. */
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

/** Latents and other safetensors: takes the free texts out; the header keeps its length, since spaces fill it up. */
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
  // Numbers may come out longer than they were written; then nothing can be taken out in place.
  yield changed.length > text.length
    ? text
    : Buffer.concat([changed, Buffer.alloc(text.length - changed.length, " ")]);
}

/** EXR: writes spaces over texts; a table of places in the file follows the header. Those that tell the form stay. */
export async function* stripExr(reader: ByteReader): AsyncGenerator<Buffer> {
  yield* reader.pass(8);
  for (;;) {
    // Name and type end with a zero each; names have 255 bytes at most.
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
  // As bytes, so that no character set matters.
  const text = bytes.toString("latin1");
  yield Buffer.from(withoutMetadata(text), "latin1");
}

/** Goes through the text once: one pattern for it all would search to the end for each element that is never closed. */
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
