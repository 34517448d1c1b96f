import { pipeline } from "node:stream/promises";
import { type JobOutput, type OutputStorage } from "@genga/jobs";
import { type Request, type Response } from "express";
import { z } from "zod";
import { type ApiDependencies } from "../dependencies.ts";
import { contentDisposition, isPlayed, isSafeToShow } from "../http/content-disposition.ts";
import { isFreshTag } from "../http/entity-tag.ts";
import { RefusedError } from "../http/problem-document.ts";
import { readRange } from "../http/range-header.ts";
import { type Answer, type Contents } from "../routing/contents.ts";
import { alreadySent, route } from "../routing/route.ts";

const bytes = { type: "string", format: "binary" };
/** The media types that servers make most; a file's content may have any other type. */
const outputMediaTypes = [
  ...["image/png", "image/jpeg", "image/webp", "image/gif", "image/avif", "image/svg+xml", "image/x-exr"],
  ...["video/mp4", "video/webm", "video/x-matroska"],
  ...["audio/flac", "audio/wav", "audio/mpeg", "audio/ogg"],
  ...["model/gltf-binary", "application/x-safetensors", "application/octet-stream"],
];
const outputContent: Contents = {
  ...Object.fromEntries(outputMediaTypes.map((type) => [type, { schema: bytes }])),
  "text/plain": { schema: { type: "string" } },
  "application/json": { schema: {} },
  "*/*": { schema: bytes },
};
const outputHeaders = {
  ETag: { description: "The SHA-256 of the whole content, in quotes.", schema: { type: "string" } },
  "Accept-Ranges": {
    description: "`none` for texts.",
    schema: { type: "string", enum: ["bytes", "none"] },
  },
  "Content-Disposition": {
    description: "`inline` for raster images, sounds and videos, `attachment` for everything else.",
    schema: { type: "string" },
  },
} as const satisfies Answer["headers"];

/** The bytes of an output. They never change, so a client that has them gets 304. */
export const getOutput = route({
  id: "getOutput",
  tag: "jobs",
  method: "GET",
  path: "outputs/:id",
  access: "read",
  subject: "output",
  summary: "The bytes of an output",
  description:
    "The bytes never change and may be cached for ever. HEAD has the same headers. Only raster images, sounds and " +
    "videos are shown in a browser; everything else is a download.",
  headers: z.object({
    Range: z
      .string()
      .optional()
      .describe("One range: `bytes=0-499`. Several are answered with the whole file."),
    "If-Range": z.string().optional().describe("The range is used only if the output still has this ETag."),
    "If-None-Match": z.string().optional().describe("ETags that the client has; `*` for any."),
  }),
  answers: {
    200: { description: "All of it.", content: outputContent, headers: outputHeaders },
    206: {
      description: "The range that was asked for.",
      content: outputContent,
      headers: {
        ...outputHeaders,
        "Content-Range": { description: "`bytes 0-499/1234`", schema: { type: "string" } },
      },
    },
    304: { description: "The client has it already.", headers: outputHeaders },
  },
  problems: ["output-not-found", "range-not-satisfiable", "storage-unavailable"],
  handler: async (
    { id, absent, headers, principal, request, response },
    { ownJobs, storage }: Pick<ApiDependencies, "ownJobs" | "storage">,
  ) => {
    const output = await ownJobs(principal).findOutput(id);
    if (output === null) throw absent();
    const { storageKey } = output;
    if (isFreshTag(headers["If-None-Match"], `"${output.sha256}"`)) {
      setHeaders(response, output);
      return { status: 304 };
    }
    if (output.kind === "text" || storageKey === null) {
      setHeaders(response, output);
      response.send(output.text ?? "");
      return alreadySent;
    }
    await sendFile(request, response, { ...output, storageKey }, storage);
    return alreadySent;
  },
});

/**
 * The content comes from a GPU server and is not trusted: a browser shows it only if its type cannot run anything, and
 * may not guess another type.
 */
function setHeaders(response: Response, output: JobOutput): void {
  const mediaType = output.kind === "text" ? "text/plain; charset=utf-8" : withCharset(output.mediaType);
  const isShown = isSafeToShow(mediaType);
  const filename = output.filename ?? `${output.id}.txt`;
  response.set({
    "content-type": mediaType,
    "content-disposition": contentDisposition(isShown ? "inline" : "attachment", filename),
    "content-security-policy": `default-src 'none'; ${isPlayed(mediaType) ? playedPolicy : "sandbox"}`,
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
    etag: `"${output.sha256}"`,
    "cache-control": "private, max-age=31536000, immutable",
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
  request: Request,
  response: Response,
  file: JobOutput & { storageKey: string },
  storage: OutputStorage,
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
  setHeaders(response, file);
  if (range !== null) response.set("content-range", `bytes ${start}-${end}/${file.bytes}`);
  response.status(range === null ? 200 : 206).set("content-length", String(end - start + 1));
  if (body === null) {
    response.end();
    return;
  }
  await pipeline(body, response).catch((error: unknown) => {
    // If the client did not leave, storage failed. The headers are sent already, so only a cut connection can show it.
    if (!response.destroyed) throw error;
  });
}
