import { setMaxListeners } from "node:events";
import { PassThrough, type Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { types } from "node:util";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { Busboy } from "@fastify/busboy";
import { StorageError } from "@genga/jobs";
import { type Request } from "express";
import { fileBytesMax, filesMax } from "./upload-limits.ts";
import { RefusedError } from "../http/problem-document.ts";

/** Fields of a form that are no files are read past. */
const fieldsMax = 20;
const fieldBytesMax = 4_096;

/** Keeps one file while it arrives. It must read the body to its end, or destroy it. */
type Keep<Kept> = (body: Readable, signal: AbortSignal) => Promise<Kept>;

/**
 * Receives a file as the body itself, or the files of a form, each while it arrives: none of them is held in memory. Names
 * of files and of fields are read past.
 * @returns what was kept, in the order of the form; never empty
 * @throws RefusedError `unsupported-media-type`, `bad-request`, `body-too-large`, and what `keep` throws; files before the
 * one that was refused stay kept
 */
export async function receiveFiles<Kept>(request: Request, keep: Keep<Kept>): Promise<[Kept, ...Kept[]]> {
  const type = request.headers["content-type"] ?? "";
  if (!/^(image\/|video\/|multipart\/form-data|application\/octet-stream)/i.test(type)) {
    throw new RefusedError(
      "unsupported-media-type",
      "Send the file itself as image/png, image/jpeg, image/webp, image/gif or video/mp4, or a multipart/form-data form " +
        "with files.",
      { headers: { accept: "image/png, image/jpeg, image/webp, image/gif, video/mp4, multipart/form-data" } },
    );
  }
  return /^multipart\/form-data/i.test(type)
    ? await receiveForm(request, type, keep)
    : [await receiveBody(request, keep)];
}

/**
 * The request's body as a stream that may be destroyed: to destroy the request itself would cut off the answer. What is
 * not read then is read past, so that the client comes to read the answer.
 */
function bodyOf(request: Request): Readable {
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

async function receiveBody<Kept>(request: Request, keep: Keep<Kept>): Promise<Kept> {
  if (Number(request.headers["content-length"] ?? 0) > fileBytesMax) throw tooLarge();
  const decoder = decoderOf(request);
  const { signal } = new AbortController();
  if (decoder === undefined) return await explained(keep(bodyOf(request), signal));
  const [kept] = await Promise.all([
    explained(keep(decoder, signal)),
    // Whatever ends the decoder also ends what reads from it.
    pipeline(bodyOf(request), decoder).catch(() => undefined),
  ]);
  return kept;
}

async function receiveForm<Kept>(
  request: Request,
  contentType: string,
  keep: Keep<Kept>,
): Promise<[Kept, ...Kept[]]> {
  const reader = formReader(contentType);
  const ending = new AbortController();
  setMaxListeners(filesMax + 10, ending.signal);
  const files: Promise<Kept>[] = [];
  let failure: { error: unknown } | undefined;
  const stop = (error: unknown): void => {
    failure ??= { error };
    ending.abort();
  };
  reader.on("file", (_field, file) => {
    // A part that ends too early is also an error of the whole form, which is handled below.
    file.on("error", () => undefined);
    const kept = explained(keep(file, ending.signal));
    kept.catch(stop);
    files.push(kept);
  });
  for (const limit of ["filesLimit", "fieldsLimit", "partsLimit"] as const) {
    reader.on(limit, () => {
      const message = `A form may have ${filesMax} files and ${fieldsMax} other fields.`;
      stop(new RefusedError("bad-request", message));
    });
  }
  try {
    const decoder = decoderOf(request);
    const { signal } = ending;
    await (decoder === undefined
      ? pipeline(bodyOf(request), reader, { signal })
      : pipeline(bodyOf(request), decoder, reader, { signal }));
  } catch (cause) {
    stop(new RefusedError("bad-request", "The form is not well-formed.", { cause }));
  }
  const results = await Promise.allSettled(files);
  if (failure !== undefined) throw failure.error;
  const kept = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const [first, ...others] = kept;
  if (first === undefined) throw new RefusedError("bad-request", "The form must have a file.");
  return [first, ...others];
}

function formReader(contentType: string): Busboy {
  try {
    return new Busboy({
      headers: { "content-type": contentType },
      limits: {
        ...{ files: filesMax, fields: fieldsMax, fieldSize: fieldBytesMax, parts: filesMax + fieldsMax },
        ...{ fieldNameSize: 200, headerPairs: 50, headerSize: 16 * 1024 },
      },
    });
  } catch (cause) {
    throw new RefusedError("bad-request", "The form is not well-formed.", { cause });
  }
}

function decoderOf(request: Request): (NodeJS.ReadWriteStream & Readable) | undefined {
  const coding = (request.headers["content-encoding"] ?? "identity").toLowerCase();
  switch (coding) {
    case "identity":
      return undefined;
    case "gzip":
      return createGunzip();
    case "deflate":
      return createInflate();
    case "br":
      return createBrotliDecompress();
    default:
      throw new RefusedError(
        "unsupported-media-type",
        `The Content-Encoding ${coding.slice(0, 100)} is not understood.`,
      );
  }
}

/** Says of errors of the storage what they mean for the file that was sent. */
async function explained<Kept>(keeping: Promise<Kept>): Promise<Kept> {
  try {
    return await keeping;
  } catch (error) {
    if (error instanceof StorageError) throw refusalOfFile(error) ?? error;
    // The client left in the middle, or what it sent is not compressed as it says.
    if (types.isNativeError(error) && "code" in error && !(error instanceof RefusedError)) {
      const code = String(error.code);
      if (/^(Z_|ERR_|ECONNRESET)/.test(code))
        throw new RefusedError("bad-request", "The body did not arrive whole.", { cause: error });
    }
    throw error;
  }
}

function tooLarge(cause?: unknown): RefusedError {
  return new RefusedError("body-too-large", `A file may have ${fileBytesMax} bytes.`, { cause });
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
