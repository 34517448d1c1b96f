import { Readable } from "node:stream";
import { skipId3, stripFlac } from "./audio.ts";
import { ByteReader } from "./byte-reader.ts";
import { stripGif } from "./gif.ts";
import { stripIsoMedia } from "./iso-media.ts";
import { stripJpeg } from "./jpeg.ts";
import { stripExr, stripGlb, stripSafetensors, stripSvg } from "./headers.ts";
import { stripMatroska } from "./matroska.ts";
import { stripOgg } from "./ogg.ts";
import { renameInPng, stripPng } from "./png.ts";
import { stripRiff } from "./riff.ts";

/** Takes the texts out of one format; all else comes out byte by byte as it went in. */
type Filter = (reader: ByteReader) => AsyncGenerator<Buffer>;

/** By how a file begins, since names may lie. */
const filters: readonly [begins: RegExp, filter: Filter][] = [
  [/^\x89PNG\r\n[^]\n/, stripPng],
  [/^\xff\xd8\xff/, stripJpeg],
  [/^GIF8[79]a/, stripGif],
  [/^RIFF[^]{4}(WEBP|WAVE|AVI )/, stripRiff],
  [/^[^]{4}(ftyp|moov)/, stripIsoMedia],
  [/^[^]E\xdf\xa3/, stripMatroska],
  [/^fLaC/, stripFlac],
  [/^OggS/, stripOgg],
  [/^v\/1[^]/, stripExr],
  [/^glTF/, stripGlb],
  [/^[^]{4}\0{4}\{/, stripSafetensors],
  [/^(\xef\xbb\xbf)?\s*<(\?xml|svg|!DOCTYPE svg|!--)/i, stripSvg],
];

/**
 * A body without what tells how it was made: graph, prompts, texts, camera notes. Pictures, frames and sounds are not
 * encoded anew. What is of no known format passes as it is; so does the rest of a file that turns out to be broken.
 */
export function stripMetadata(body: Readable): Readable {
  return Readable.from(readParts(body, filtered), { objectMode: false });
}

/**
 * A body whose texts about how it was made name files as clients do: `shown` turns a text into what is kept of it. Of PNG,
 * which is what pictures are saved as; other formats pass as they are.
 */
export function renameInMetadata(body: Readable, shown: (text: string) => string): Readable {
  const parts = readParts(body, async function* (reader) {
    const begin = (await reader.peek(signature.length)).toString("latin1");
    if (begin === signature) yield* renameInPng(reader, shown);
    yield* reader.pass();
  });
  return Readable.from(parts, { objectMode: false });
}
const signature = "\x89PNG\r\n\x1a\n";

async function* readParts(body: Readable, filter: Filter): AsyncGenerator<Buffer> {
  const reader = new ByteReader(body);
  try {
    yield* filter(reader);
  } finally {
    await reader.close();
  }
}

async function* filtered(reader: ByteReader): AsyncGenerator<Buffer> {
  if ((await reader.peek(3)).toString("latin1") === "ID3") await skipId3(reader);
  const begin = (await reader.peek(32)).toString("latin1");
  const filter = filters.find(([begins]) => begins.test(begin))?.[1];
  if (filter !== undefined) yield* filter(reader);
  yield* reader.pass();
}
