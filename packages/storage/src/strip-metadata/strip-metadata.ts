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

/** Removes the texts from one format; all other bytes stay the same. */
type Filter = (reader: ByteReader) => AsyncGenerator<Buffer>;

/** The filters by the beginning of the file's content, because a name may be wrong. */
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
 * Returns the body without the metadata that shows how it was made: graph, prompts, texts, camera notes. Pictures,
 * frames and sounds are not encoded anew. A file of an unknown format is passed on unchanged; so is the rest of a file
 * that turns out to be broken.
 */
export function stripMetadata(body: Readable): Readable {
  return Readable.from(readParts(body, filtered), { objectMode: false });
}

/**
 * Returns the body with its metadata texts rewritten by `shown`, so that they name files as clients do. Only PNG files
 * are changed, because ComfyUI saves pictures as PNG; other formats are passed on unchanged.
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
