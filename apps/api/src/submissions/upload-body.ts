import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { Busboy } from "@fastify/busboy";
import express, { type Request, type RequestHandler } from "express";
import { imageBytesMax } from "./read-image.ts";
import { RefusedError } from "../http/problem-document.ts";

/** Room for the boundaries and headers of a form. */
const formOverheadBytes = 64 * 1024;
const formFields = ["image", "file"];
const partsMax = 20;

/** Receives an image: as the body itself, or as a file of a form. */
export function imageBody(): RequestHandler {
  return express.raw({
    type: (request) => /^(image\/|multipart\/form-data|application\/octet-stream)/.test(typeOf(request)),
    limit: imageBytesMax + formOverheadBytes,
  });
}

/**
 * The image of a request: its whole body, or the field `image` (or `file`) of a form.
 * @throws RefusedError `unsupported-media-type`, `bad-request`
 */
export async function imageOf(request: Request): Promise<Buffer> {
  const body: unknown = request.body;
  if (!Buffer.isBuffer(body)) {
    throw new RefusedError(
      "unsupported-media-type",
      "Send the image itself as image/png, image/jpeg or image/webp, or a multipart/form-data form with a field `image`.",
      { headers: { accept: "image/png, image/jpeg, image/webp, multipart/form-data" } },
    );
  }
  return typeOf(request).startsWith("multipart/form-data") ? imageOfForm(body, typeOf(request)) : body;
}

async function imageOfForm(body: Buffer, contentType: string): Promise<Buffer> {
  const files = await filesOf(body, contentType);
  const [file] = files;
  if (file === undefined || files.length > 1) {
    throw new RefusedError("bad-request", "The form must have one file, in a field named `image`.");
  }
  return file;
}

/**
 * The files in the fields that may hold the image. The size of the body is bounded already, and thereby the size of
 * these files.
 */
async function filesOf(body: Buffer, contentType: string): Promise<Buffer[]> {
  const files: Promise<Buffer>[] = [];
  try {
    const reader = new Busboy({ headers: { "content-type": contentType }, limits: { parts: partsMax } });
    reader.on("file", (field, file) => {
      // A part that ends too early is also an error of the whole form, which is handled below.
      file.on("error", () => undefined);
      if (formFields.includes(field)) files.push(buffer(file));
      else file.resume();
    });
    await pipeline(Readable.from([body]), reader);
    return await Promise.all(files);
  } catch (cause) {
    await Promise.allSettled(files);
    throw new RefusedError("bad-request", "The form is not well-formed.", { cause });
  }
}

function typeOf(request: { headers: { "content-type"?: string | undefined } }): string {
  return request.headers["content-type"] ?? "";
}
