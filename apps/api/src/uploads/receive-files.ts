import { setMaxListeners } from "node:events";
import { type IncomingMessage, type ServerResponse } from "node:http";
import { PassThrough, Transform, type Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { types } from "node:util";
import { Busboy } from "@fastify/busboy";
import { StorageError } from "@genga/jobs";
import { boundaryOf, upToLastBoundary } from "./form-end.ts";
import { fileBytesMax, filesMax as formFilesMax } from "./upload-limits.ts";
import { RefusedError } from "../http/problem-document.ts";

/** Fields of a form that are no files are read past. */
const fieldsMax = 20;
const fieldBytesMax = 4_096;
/** Of a form with as many files as it may have: also what is read past counts. */
const formBytesMax = formFilesMax * fileBytesMax + 2 * 1024 * 1024;

/** A file while it arrives. */
interface ArrivingFile {
  content: Readable;
  /** The name of its field in the form; `null` = it is the body itself. */
  field: string | null;
  /** What the form calls it. */
  filename: string | null;
  signal: AbortSignal;
}

/** Keeps one file. It must read the content to its end, or destroy it, also when the signal is aborted. */
type Keep<Kept> = (file: ArrivingFile) => Promise<Kept>;

interface FormOptions {
  /** Of the whole form. */
  bytesMax?: number;
  filesMax?: number;
  /** Is told each field of the form that is no file. What it throws refuses the form. */
  onField?: (name: string, value: string) => void;
}

/**
 * Receives a file as the body itself, or the files of a form, each while it arrives: none of them is held in memory. Names
 * of files are read past, and fields, unless they are asked for. When the client leaves, all of it ends.
 * @returns what was kept, in the order of the form; never empty
 * @throws RefusedError `unsupported-media-type`, `bad-request`, `body-too-large`, and what `keep` throws; files before the
 * one that was refused stay kept
 */
export async function receiveFiles<Kept>(
  { request, response }: { request: IncomingMessage; response: ServerResponse },
  keep: Keep<Kept>,
  { bytesMax = formBytesMax, filesMax = formFilesMax, onField }: FormOptions = {},
): Promise<[Kept, ...Kept[]]> {
  const type = request.headers["content-type"] ?? "";
  if (!/^(image\/|video\/|multipart\/form-data|application\/octet-stream)/i.test(type)) {
    throw new RefusedError(
      "unsupported-media-type",
      "Send the file itself as image/png, image/jpeg, image/webp, image/gif or video/mp4, or a multipart/form-data form " +
        "with files.",
      { headers: { accept: "image/png, image/jpeg, image/webp, image/gif, video/mp4, multipart/form-data" } },
    );
  }
  assertNotEncoded(request);
  const ending = new AbortController();
  setMaxListeners(formFilesMax + 10, ending.signal);
  // The request is no help here: of one that has arrived whole, nothing tells that its client has left.
  const leave = (): void => {
    ending.abort(new RefusedError("bad-request", "The client has left."));
  };
  if (response.closed) leave();
  response.once("close", leave);
  try {
    return /^multipart\/form-data/i.test(type)
      ? await receiveForm(request, { type, bytesMax, filesMax, onField, ending }, keep)
      : [await receiveBody(request, keep, ending.signal)];
  } finally {
    response.off("close", leave);
  }
}

/** A few bytes could become a form or a file without end. Pictures and videos are compressed already. */
function assertNotEncoded({ headers }: IncomingMessage): void {
  const coding = headers["content-encoding"]?.trim() ?? "";
  if (coding === "" || coding.toLowerCase() === "identity") return;
  throw new RefusedError(
    "unsupported-media-type",
    `Send files as they are, without a Content-Encoding (${coding.slice(0, 100)}): pictures and videos are compressed already.`,
    { headers: { "accept-encoding": "identity" } },
  );
}

/**
 * The request's body as a stream that may be destroyed: to destroy the request itself would cut off the answer. What is
 * not read then is read past, so that the client comes to read the answer.
 */
function bodyOf(request: IncomingMessage): Readable {
  const body = new PassThrough();
  request.pipe(body);
  const breakOff = (): void => {
    if (!request.complete) body.destroy(new RefusedError("bad-request", "The body did not arrive whole."));
  };
  request.once("error", breakOff).once("close", breakOff);
  body.once("close", () => {
    request.unpipe(body).resume();
  });
  return body;
}

async function receiveBody<Kept>(
  request: IncomingMessage,
  keep: Keep<Kept>,
  signal: AbortSignal,
): Promise<Kept> {
  if (lengthOf(request) > fileBytesMax) throw tooLarge();
  return await explained(keep({ content: bodyOf(request), field: null, filename: null, signal }));
}

interface FormParts extends Required<Pick<FormOptions, "bytesMax" | "filesMax">> {
  type: string;
  onField: FormOptions["onField"];
  ending: AbortController;
}

async function receiveForm<Kept>(
  request: IncomingMessage,
  { type, bytesMax, filesMax, onField, ending }: FormParts,
  keep: Keep<Kept>,
): Promise<[Kept, ...Kept[]]> {
  if (lengthOf(request) > bytesMax) throw formTooLarge(bytesMax);
  const { signal } = ending;
  const boundary = boundaryOf(type);
  if (boundary === null) throw new RefusedError("bad-request", "The form names no boundary.");
  const reader = formReader(boundary, filesMax);
  const files: Promise<Kept>[] = [];
  // Only the first reason counts.
  const stop = (error: unknown): void => {
    ending.abort(error);
  };
  reader.on("file", (field, file, filename) => {
    // A part that ends too early is also an error of the whole form, which is handled below.
    file.on("error", () => undefined);
    const kept = explained(keep({ content: file, field, filename, signal }));
    kept.catch(stop);
    files.push(kept);
  });
  reader.on("field", (name, value, isNameCut, isValueCut) => {
    if (onField === undefined || signal.aborted) return;
    try {
      if (isNameCut || isValueCut) throw new RefusedError("bad-request", "A field of the form is too long.");
      onField(name, value);
    } catch (error) {
      stop(error);
    }
  });
  for (const limit of ["filesLimit", "fieldsLimit", "partsLimit"] as const) {
    reader.on(limit, () => {
      const message = `A form may have ${filesMax} ${filesMax === 1 ? "file" : "files"} and ${fieldsMax} other fields.`;
      stop(new RefusedError("bad-request", message));
    });
  }
  const counter = counted(bytesMax, () => {
    stop(formTooLarge(bytesMax));
  });
  try {
    await pipeline(bodyOf(request), counter, upToLastBoundary(boundary), reader, { signal });
  } catch (cause) {
    stop(new RefusedError("bad-request", "The form is not well-formed.", { cause }));
  }
  const results = await Promise.allSettled(files);
  signal.throwIfAborted();
  const kept = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const [first, ...others] = kept;
  if (first === undefined) throw new RefusedError("bad-request", "The form must have a file.");
  return [first, ...others];
}

/** Passes bytes on, as many as there may be: those that the reader of forms reads past count, too. */
function counted(bytesMax: number, onMore: () => void): Transform {
  let bytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      if (bytes <= bytesMax) done(null, chunk);
      else onMore();
    },
  });
}

function lengthOf({ headers }: IncomingMessage): number {
  return Number(headers["content-length"] ?? 0);
}

function formReader(boundary: string, filesMax: number): Busboy {
  try {
    return new Busboy({
      // Written anew, so that it looks for the boundary that was read here.
      headers: { "content-type": `multipart/form-data; boundary="${boundary.replace(/["\\]/g, "\\$&")}"` },
      limits: {
        ...{ files: filesMax, fields: fieldsMax, fieldSize: fieldBytesMax, parts: filesMax + fieldsMax },
        ...{ fieldNameSize: 200, headerPairs: 50, headerSize: 16 * 1024 },
      },
    });
  } catch (cause) {
    throw new RefusedError("bad-request", "The form is not well-formed.", { cause });
  }
}

/** Says of errors of the storage what they mean for the file that was sent. */
async function explained<Kept>(keeping: Promise<Kept>): Promise<Kept> {
  try {
    return await keeping;
  } catch (error) {
    if (error instanceof StorageError) throw refusalOfFile(error) ?? error;
    // The client left in the middle.
    if (types.isNativeError(error) && "code" in error && !(error instanceof RefusedError)) {
      const code = String(error.code);
      if (/^(ERR_|ECONNRESET)/.test(code))
        throw new RefusedError("bad-request", "The body did not arrive whole.", { cause: error });
    }
    throw error;
  }
}

function tooLarge(cause?: unknown): RefusedError {
  return new RefusedError("body-too-large", `A file may have ${fileBytesMax} bytes.`, { cause });
}

function formTooLarge(bytesMax: number): RefusedError {
  return new RefusedError("body-too-large", `A form may have ${bytesMax} bytes in all.`);
}

function refusalOfFile(error: StorageError): RefusedError | undefined {
  switch (error.code) {
    case "output-empty":
      return new RefusedError("invalid-image", "The image is empty.", { cause: error });
    case "output-too-large":
      return tooLarge(error);
    case "output-incomplete":
      return new RefusedError("bad-request", "The body did not arrive whole.", { cause: error });
    default:
      return undefined;
  }
}
