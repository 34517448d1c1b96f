import { statSync } from "node:fs";
import path from "node:path";
import sharp from "sharp";
import { withJfif } from "../drawing/jfif.ts";
import { PythonError } from "../python/python-values.ts";
import { emptyReply, type Exchange, type Reply } from "./http-exchange.ts";
import { isFile, isWithin, type Folders } from "../files/folders.ts";
import { mediaTypeOf } from "../files/media-types.ts";

/**
 * Media types that are sent as a download, because a browser would run their content. 0.28 adds SVG drawings to them.
 */
const neverShown = new Set(["text/html", "application/xhtml+xml", "text/javascript", "text/css"]);

/** `GET /view` (PROTOCOL 7): one file of the input, output or temp folder. */
export function viewRoute(folders: Folders, isNewer: boolean): (exchange: Exchange) => Promise<Reply> {
  return async (exchange) => {
    const located = locate(folders, exchange.query);
    if (typeof located === "number") return emptyReply(located);
    const { query } = exchange;
    // The name is sent as UTF-8, like all headers of the server; Node writes one byte for each character.
    const filename = Buffer.from(path.basename(located)).toString("latin1");
    const isActive = neverShown.has(mediaTypeOf(located)) || (isNewer && /\.svgz?$/i.test(located));
    const attached = isNewer && isActive ? "attachment; " : "";
    const disposition = { "content-disposition": `${attached}filename="${filename}"` };
    const [preview, channel] = [query.get("preview"), query.get("channel")];
    if (preview === null && channel !== "rgb" && channel !== "a")
      return fileReply(located, exchange, disposition, isActive);
    await assertPicture(located);
    if (preview !== null) return reencoded(located, preview, channel ?? "", disposition);
    const body = channel === "a" ? alphaOf(located) : sharp(located).removeAlpha().png().toBuffer();
    return pngReply(await body, disposition);
  };
}

/** The path of the requested file, or the status of the refusal. Folders inside `filename` are dropped. */
function locate(folders: Folders, query: URLSearchParams): string | number {
  const asked = query.get("filename");
  if (asked === null) return 404;
  const annotated = folders.annotated(asked);
  if (annotated.name === "" || annotated.name.startsWith("/") || annotated.name.includes("..")) return 400;
  const base = annotated.folder ?? folders.ofType(query.get("type") ?? "output");
  if (base === undefined) return 400;
  const folder = path.resolve(base, query.get("subfolder") ?? "");
  if (!isWithin(base, folder)) return 403;
  const file = path.join(folder, annotated.name.slice(annotated.name.lastIndexOf("/") + 1));
  return isFile(file) ? file : 404;
}

/** @throws PythonError for a file that cannot be opened as a picture */
async function assertPicture(file: string): Promise<void> {
  try {
    await sharp(file).metadata();
  } catch {
    throw new PythonError("PIL.UnidentifiedImageError", `cannot identify image file '${file}'`);
  }
}

async function reencoded(
  file: string,
  preview: string,
  channel: string,
  disposition: Record<string, string>,
): Promise<Reply> {
  const [asked = "", ...rest] = preview.split(";");
  const format = asked === "jpeg" && !channel.includes("a") ? "jpeg" : "webp";
  const digits = [asked, ...rest].at(-1) ?? "";
  const quality = /^\d+$/.test(digits) ? Math.min(100, Math.max(1, Number(digits))) : 90;
  const picture = sharp(file);
  const body =
    format === "jpeg"
      ? withJfif(await picture.flatten().jpeg({ quality }).toBuffer())
      : await picture.webp({ quality }).toBuffer();
  return { status: 200, headers: { ...disposition, "content-type": `image/${format}` }, body };
}

async function alphaOf(file: string): Promise<Buffer> {
  const { width, height } = await sharp(file).metadata();
  const alpha = await sharp(file).ensureAlpha().extractChannel("alpha").raw().toBuffer();
  const black = { width, height, channels: 3 as const, background: { r: 0, g: 0, b: 0 } };
  return sharp({ create: black })
    .joinChannel(alpha, { raw: { width, height, channels: 1 } })
    .png()
    .toBuffer();
}

function pngReply(body: Buffer, disposition: Record<string, string>): Reply {
  return { status: 200, headers: { ...disposition, "content-type": "image/png" }, body };
}

/** Sends the file unchanged, with HEAD, conditional requests and single ranges as in the server's file responses. */
function fileReply(
  file: string,
  exchange: Exchange,
  disposition: Record<string, string>,
  isActive: boolean,
): Reply {
  const { size, mtimeMs } = statSync(file);
  const type = {
    ...disposition,
    "content-type": isActive ? "application/octet-stream" : mediaTypeOf(file),
  };
  const etag = `"${Math.round(mtimeMs * 1e6).toString(16)}-${size.toString(16)}"`;
  if (isNoLongerWanted(exchange, etag, mtimeMs)) return { status: 412, headers: type };
  const headers = { ...type, etag, "last-modified": new Date(mtimeMs).toUTCString() };
  if (isUnchanged(exchange, etag, mtimeMs)) return { status: 304, headers };
  const range = isRangeOfOther(exchange, mtimeMs) ? undefined : rangeOf(exchange.headers.range, size);
  if (range === "unsatisfiable") {
    const chunked = { "transfer-encoding": "chunked", "content-range": `bytes */${size}` };
    return { status: 416, headers: { ...type, ...chunked } };
  }
  const served = { ...headers, "accept-ranges": "bytes" };
  if (range === undefined) return { status: 200, headers: served, file: { path: file, start: 0, end: size } };
  const contentRange = `bytes ${range.start}-${range.end - 1}/${size}`;
  return {
    status: 206,
    headers: { ...served, "content-range": contentRange },
    file: { path: file, ...range },
  };
}

/** `If-Match` and `If-Unmodified-Since`: the client wants only the version that it already knows. */
function isNoLongerWanted(exchange: Exchange, etag: string, mtimeMs: number): boolean {
  const wanted = exchange.headers["if-match"];
  if (wanted !== undefined) return !namesTag(wanted, etag);
  const since = Date.parse(exchange.headers["if-unmodified-since"] ?? "");
  return !Number.isNaN(since) && mtimeMs > since;
}

function isUnchanged(exchange: Exchange, etag: string, mtimeMs: number): boolean {
  const known = exchange.headers["if-none-match"];
  if (known !== undefined) return namesTag(known, etag);
  const since = Date.parse(exchange.headers["if-modified-since"] ?? "");
  return !Number.isNaN(since) && mtimeMs <= since;
}

/** `If-Range` with a date: the range counts only for a file that is not newer. */
function isRangeOfOther(exchange: Exchange, mtimeMs: number): boolean {
  const date = Date.parse(String(exchange.headers["if-range"] ?? ""));
  return !Number.isNaN(date) && mtimeMs > date;
}

function namesTag(header: string, etag: string): boolean {
  return header.split(",").some((tag) => ["*", etag].includes(tag.trim().replace(/^W\//, "")));
}

function rangeOf(
  header: string | undefined,
  size: number,
): { start: number; end: number } | "unsatisfiable" | undefined {
  if (header === undefined) return undefined;
  const found = /^bytes=(\d*)-(\d*)$/.exec(header.trim());
  if (!found || (found[1] === "" && found[2] === "")) return "unsatisfiable";
  if (found[1] === "")
    return { start: Number(found[2]) === 0 ? 0 : Math.max(0, size - Number(found[2])), end: size };
  const start = Number(found[1]);
  const end = found[2] === "" ? size : Math.min(size, Number(found[2]) + 1);
  return start >= end ? "unsatisfiable" : { start, end };
}
