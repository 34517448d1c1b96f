import { findRepeatedName, parseExactJson } from "@genga/comfyui";
import express, { type RequestHandler } from "express";
import { bodyBytesMax } from "./error-mapping.ts";
import { RefusedError } from "./problem-document.ts";

const mediaType = "application/json";

/**
 * Reads a JSON body, for paths that take one; numbers that JavaScript would change are `ExactNumber`s. A body of another
 * kind is refused rather than ignored, and so is one that two parsers might read differently: bytes that are not UTF-8,
 * and a name that stands twice in one object (RFC 8259, sections 8.1 and 4).
 * @param options.isOptional a request may come without a body
 */
export function jsonBody({ isOptional = false } = {}): RequestHandler[] {
  const refuseOthers: RequestHandler = (request, _response, next) => {
    // Clients that send nothing say so with a length of 0, and name no type.
    if (isOptional && request.headers["content-length"] === "0") {
      next();
      return;
    }
    if ((request.method === "POST" || request.method === "PUT") && request.is(mediaType) === false) {
      const given = request.headers["content-type"];
      throw notUnderstood(
        given === undefined ? ", and says nothing of its type" : `, not ${given.slice(0, 100)}`,
      );
    }
    const charset = /;\s*charset\s*=\s*"?([^\s";]*)/i.exec(request.headers["content-type"] ?? "")?.[1];
    if (request.is(mediaType) !== false && charset !== undefined && !/^(utf-?8|us-ascii)$/i.test(charset)) {
      throw notUnderstood(` in UTF-8, not in ${charset.slice(0, 100)}`);
    }
    next();
  };
  const parse: RequestHandler = (request, _response, next) => {
    const body: unknown = request.body;
    if (Buffer.isBuffer(body)) request.body = body.length === 0 ? {} : parseJson(textOf(body));
    next();
  };
  return [refuseOthers, express.raw({ type: mediaType, limit: bodyBytesMax }), parse];
}

function notUnderstood(rest: string): RefusedError {
  return new RefusedError("unsupported-media-type", `The body must be ${mediaType}${rest}.`, {
    headers: { accept: mediaType },
  });
}

/** Without a byte order mark at its beginning. */
function textOf(body: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch (cause) {
    const message = "The body is not JSON: its bytes are not UTF-8.";
    throw new RefusedError("malformed-json", message, { cause });
  }
}

function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = parseExactJson(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new RefusedError("malformed-json", `The body is not JSON: ${error.message.slice(0, 200)}`, {
      cause: error,
    });
  }
  const repeated = findRepeatedName(text);
  if (repeated !== undefined) {
    const { name, line, column } = repeated;
    throw new RefusedError(
      "repeated-name",
      `The name ${JSON.stringify(name.slice(0, 100))} stands twice in one object, the second time in line ${line}, column ${column}.`,
    );
  }
  return value;
}
