import { pipeline } from "node:stream/promises";
import { type JobOutput, type OutputStorage } from "@genga/jobs";
import { type Request, type Response } from "express";
import { contentDisposition, isPlayed, isSafeToShow } from "./content-disposition.ts";
import { isFreshTag } from "./entity-tag.ts";
import { RefusedError } from "./problem-document.ts";
import { readRange } from "./range-header.ts";
import { type StallLimit } from "./stall-limit.ts";

/** How the bytes of an output come to a browser. */
export interface OutputHeaders {
  mediaType: string;
  contentDisposition: string;
}

/**
 * The content comes from a GPU server and is not trusted: a browser shows it only if its type cannot run anything, and
 * may not guess another type.
 */
export function headersOfOutput(
  output: Pick<SentFile, "id" | "kind" | "filename" | "mediaType">,
): OutputHeaders {
  const mediaType = output.kind === "text" ? "text/plain; charset=utf-8" : withCharset(output.mediaType);
  const filename = output.filename ?? `${output.id}.txt`;
  const kind = isSafeToShow(mediaType) ? "inline" : "attachment";
  return { mediaType, contentDisposition: contentDisposition(kind, filename) };
}

/** How long the bytes may be kept, and who may show them. */
export interface Caching {
  maxAgeSeconds: number;
  /** Pages of other origins may show them. */
  isShared: boolean;
}

/** For clients with a key; the bytes never change. */
const forEver: Caching = { maxAgeSeconds: 31_536_000, isShared: false };

/** A file or text as it is sent: an output, or something that is answered like one. */
export type SentFile = Pick<
  JobOutput,
  "id" | "kind" | "filename" | "mediaType" | "bytes" | "sha256" | "storageKey" | "text" | "createdAt"
> & { /** In place of the one that follows from the file. */ contentDisposition?: string | undefined };

/**
 * Sends the bytes of an output, or the range that the request asks for.
 * @param wanted the ETags that the client has
 * @returns false when the client has the bytes: then only the headers are set
 */
export async function sendOutput(
  { request, response }: { request: Request; response: Response },
  output: SentFile,
  { storage, stallLimit }: { storage: OutputStorage; stallLimit: StallLimit },
  { "If-None-Match": wanted }: { "If-None-Match"?: string | undefined },
  caching: Caching = forEver,
): Promise<boolean> {
  const { storageKey } = output;
  const stalled = stallLimit.watch(response);
  if (isFreshTag(wanted, `"${output.sha256}"`)) {
    setHeaders(response, output, caching);
    return false;
  }
  if (output.kind === "text" || storageKey === null) {
    setHeaders(response, output, caching);
    response.send(output.text ?? "");
    return true;
  }
  await sendFile({ request, response }, { ...output, storageKey }, { storage, stalled }, caching);
  return true;
}

function setHeaders(response: Response, output: SentFile, { maxAgeSeconds, isShared }: Caching): void {
  const { mediaType, contentDisposition: disposition } = headersOfOutput(output);
  response.set({
    "content-type": mediaType,
    "content-disposition": output.contentDisposition ?? disposition,
    "content-security-policy": `default-src 'none'; ${isPlayed(mediaType) ? playedPolicy : "sandbox"}`,
    "cross-origin-resource-policy": isShared ? "cross-origin" : "same-origin",
    "x-content-type-options": "nosniff",
    etag: `"${output.sha256}"`,
    "cache-control": `private, max-age=${maxAgeSeconds}, immutable`,
    "accept-ranges": output.kind === "text" ? "none" : "bytes",
    "last-modified": output.createdAt.toUTCString(),
  });
}

/**
 * A browser shows a sound or video in a page of its own, which loads the file a second time. A sandbox without an
 * origin may not do so, hence `allow-same-origin`. Without `allow-scripts` the origin is of no use to anything else.
 */
const playedPolicy = "media-src 'self'; sandbox allow-same-origin";

/** Files are stored as texts only if they are UTF-8. Browsers guess the charset where none is given. */
function withCharset(mediaType: string): string {
  return /^text\/[^;]+$/.test(mediaType) ? `${mediaType}; charset=utf-8` : mediaType;
}

async function sendFile(
  { request, response }: { request: Request; response: Response },
  file: SentFile & { storageKey: string },
  { storage, stalled }: { storage: OutputStorage; stalled: AbortSignal },
  caching: Caching,
): Promise<void> {
  const range = readRange(request.headers.range, request.get("if-range"), file);
  if (range === "not-satisfiable") {
    throw new RefusedError("range-not-satisfiable", `The file has ${file.bytes} bytes.`, {
      headers: { "content-range": `bytes */${file.bytes}` },
    });
  }
  const { start, end } = range ?? { start: 0, end: file.bytes - 1 };
  // The file is opened before the headers are set, so that a missing file is answered with a problem document.
  const body = request.method === "HEAD" ? null : await storage.read(file.storageKey, range ?? undefined);
  setHeaders(response, file, caching);
  if (range !== null) response.set("content-range", `bytes ${start}-${end}/${file.bytes}`);
  response.status(range === null ? 200 : 206).set("content-length", String(end - start + 1));
  if (body === null) {
    response.end();
    return;
  }
  // The log, the limits and the parts of the pipeline all wait for its end: more than Node takes for a leak.
  response.setMaxListeners(response.getMaxListeners() + 10);
  await pipeline(body, response, { signal: stalled }).catch((error: unknown) => {
    // If the client did not leave, and was not cut off, storage failed. The headers are sent already, so only a cut connection can show it.
    if (!response.destroyed) throw error;
  });
}
