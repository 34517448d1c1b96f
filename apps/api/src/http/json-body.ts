import { findRepeatedName, parseExactJson } from "@genga/comfyui";
import { setImmediate as nextTurn } from "node:timers/promises";
import express, { type RequestHandler } from "express";
import { bodyBytesMax } from "./error-mapping.ts";
import { RefusedError } from "./problem-document.ts";

export const jsonMediaType = "application/json";

/**
 * How many members and items a body may have in all. Parsing a body blocks the event loop of its thread for a time that
 * grows with their number.
 */
const bodyValuesMax = 500_000;
/** A text of at most this many characters is parsed and searched in one turn of the event loop. */
const oneTurnMax = 1_000_000;

/**
 * Reads the JSON body of a request; numbers that JavaScript would change become `ExactNumber`s. A body of another media
 * type is refused, not ignored. So is one that two parsers might read differently: bytes that are not UTF-8, and a name
 * that stands twice in one object (RFC 8259, sections 8.1 and 4).
 * @param options.isOptional the request may have no body
 * @param options.bytesMax the largest body
 */
export function jsonBody(options: { isOptional?: boolean; bytesMax?: number } = {}): RequestHandler[] {
  const parse: RequestHandler = async (request, _response, next) => {
    const body: unknown = request.body;
    if (Buffer.isBuffer(body)) request.body = body.length === 0 ? {} : await parseJsonBytes(body);
    next();
  };
  return [...receiveBytes([jsonMediaType], options), parse];
}

/**
 * Takes the bytes of a body in UTF-8, for paths that take one; a body of another kind is refused rather than ignored.
 * @param options.isOptional a request may come without a body
 */
export function receiveBytes(
  mediaTypes: readonly string[],
  { isOptional = false, bytesMax = bodyBytesMax }: { isOptional?: boolean; bytesMax?: number } = {},
): RequestHandler[] {
  const types = [...mediaTypes];
  const refuseOthers: RequestHandler = (request, _response, next) => {
    // A request without a body may have a Content-Length of 0 and no Content-Type.
    if (isOptional && request.headers["content-length"] === "0") {
      next();
      return;
    }
    if (/^(POST|PUT|PATCH)$/.test(request.method) && request.is(types) === false) {
      const given = request.headers["content-type"];
      throw notUnderstood(
        types,
        given === undefined ? "; the request has no Content-Type" : `, not ${given.slice(0, 100)}`,
      );
    }
    const charset = /;\s*charset\s*=\s*"?([^\s";]*)/i.exec(request.headers["content-type"] ?? "")?.[1];
    if (request.is(types) !== false && charset !== undefined && !/^(utf-?8|us-ascii)$/i.test(charset)) {
      throw notUnderstood(types, ` in UTF-8, not in ${charset.slice(0, 100)}`);
    }
    next();
  };
  return [refuseOthers, express.raw({ type: types, limit: bytesMax })];
}

function notUnderstood(types: readonly string[], rest: string): RefusedError {
  return new RefusedError("unsupported-media-type", `The body must be ${types.join(" or ")}${rest}.`, {
    headers: { accept: types.join(", ") },
  });
}

/**
 * Parses the bytes of a JSON body, as `jsonBody` does.
 * @param options.valuesMax members and items that it may have
 * @throws RefusedError
 */
export async function parseJsonBytes(body: Uint8Array, { valuesMax = bodyValuesMax } = {}): Promise<unknown> {
  return parseJsonText(textOf(body, valuesMax));
}

/**
 * The body as text, without its byte order mark.
 * @throws RefusedError when it has too many values to be parsed in one turn
 */
export function textOf(body: Uint8Array, valuesMax: number): string {
  if (hasMoreValues(body, valuesMax)) {
    throw new RefusedError("body-too-large", `A body may have ${valuesMax} members and items in all.`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch (cause) {
    const message = "The body is not JSON: its bytes are not UTF-8.";
    throw new RefusedError("malformed-json", message, { cause });
  }
}

/**
 * Counts commas and opening brackets outside of strings, of which there are at least as many as members and items.
 * Stops at the limit.
 */
function hasMoreValues(body: Uint8Array, max: number): boolean {
  let count = 0;
  let isInString = false;
  for (let at = 0; at < body.length && count <= max; at += 1) {
    const byte = body[at];
    if (isInString) {
      if (byte === backslash) at += 1;
      else if (byte === quote) isInString = false;
    } else if (byte === quote) isInString = true;
    else if (byte === comma || byte === openBracket || byte === openBrace) count += 1;
  }
  return count > max;
}

const [quote, comma, openBracket, backslash, openBrace] = [0x22, 0x2c, 0x5b, 0x5c, 0x7b];

/** @throws RefusedError `malformed-json`, `repeated-name` */
export async function parseJsonText(text: string): Promise<unknown> {
  let value: unknown;
  try {
    value = parseExactJson(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new RefusedError("malformed-json", `The body is not JSON: ${error.message.slice(0, 200)}`, {
      cause: error,
    });
  }
  if (text.length > oneTurnMax) await nextTurn();
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
