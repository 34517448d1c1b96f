import { pipeline } from "node:stream/promises";
import { type JobOutput, type OutputStorage } from "@genga/jobs";
import { type Request, type Response } from "express";
import { contentDisposition, isPlayed, isSafeToShow } from "../http/content-disposition.ts";
import { type ApiDependencies } from "../dependencies.ts";
import { type GuardedRoutes } from "../access/guarded-routes.ts";
import { RefusedError } from "../http/problem-document.ts";
import { foundOutput } from "../jobs/found-jobs.ts";
import { readRange } from "../http/range-header.ts";
import { idOf } from "../http/request-values.ts";

/** `GET outputs/{id}`: the bytes. They never change, so a client that has them needs no second answer. */
export function addOutputRoutes(routes: GuardedRoutes, { ownJobs, storage }: ApiDependencies): void {
  routes.resource("outputs/:id", {
    get: async (request, response) => {
      const output = await foundOutput(ownJobs(response), idOf(request));
      if (isFresh(request, output)) {
        setHeaders(response, output);
        response.status(304).end();
        return;
      }
      if (output.kind === "text" || output.storageKey === null) {
        setHeaders(response, output);
        response.send(output.text ?? "");
        return;
      }
      await sendFile(request, response, { ...output, storageKey: output.storageKey }, storage);
    },
  });
}

/** Content from a GPU server is not ours: it is shown only as what cannot act, and never guessed at. */
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
 * A browser's own page about a sound or video loads it a second time, and may not do so from a sandbox that has no
 * origin. Without `allow-scripts` the origin is of no use to anything else.
 */
const playedPolicy = "media-src 'self'; sandbox allow-same-origin";

/** Files are stored as texts only where they are UTF-8; without a word of it a browser guesses. */
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
  // Opened before anything is said of it, so that a missing file is answered as missing.
  const body = request.method === "HEAD" ? null : await storage.read(file.storageKey, range ?? undefined);
  setHeaders(response, file);
  if (range !== null) response.set("content-range", `bytes ${start}-${end}/${file.bytes}`);
  response.status(range === null ? 200 : 206).set("content-length", String(end - start + 1));
  if (body === null) {
    response.end();
    return;
  }
  await pipeline(body, response).catch((error: unknown) => {
    // The reader left; otherwise our own trouble, and a cut connection is all that can still tell it.
    if (!response.destroyed) throw error;
  });
}

function isFresh(request: Request, { sha256 }: JobOutput): boolean {
  const wanted = request.headers["if-none-match"];
  if (wanted === undefined) return false;
  return (
    wanted.trim() === "*" || wanted.split(",").some((tag) => tag.trim().replace(/^W\//, "") === `"${sha256}"`)
  );
}
