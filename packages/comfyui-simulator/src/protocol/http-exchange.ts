import { type IncomingMessage, type ServerResponse } from "node:http";
import {
  JsonDecodeError,
  parsePythonJson,
  stringifyPythonJson,
  type PythonJson,
} from "../python/python-json.ts";
import { PythonError, type PythonValue } from "../python/python-values.ts";

/** A reply before it is written. `stream` names a file range to send instead of a body. */
export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
  readonly file?: { readonly path: string; readonly start: number; readonly end: number };
}

/** One request, as the routes see it. */
export interface Exchange {
  readonly method: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  /** The decoded last path segment of routes such as `/history/{id}`. */
  readonly parameter: string;
  /** The whole body. @throws BodyTooLargeError */
  readonly body: () => Promise<Buffer>;
  /** The body as JSON. @throws JsonDecodeError, BodyTooLargeError */
  readonly json: () => Promise<PythonValue>;
}

/** The body is larger than the server accepts; answered with 413 on every route (PROTOCOL 1). */
export class BodyTooLargeError extends Error {
  constructor(bytesMax: number) {
    super(`Maximum request body size ${bytesMax} exceeded.`);
    this.name = "BodyTooLargeError";
  }
}

const serverHeader = "Python/3.11 aiohttp/3.14.5";

export function jsonReply(value: PythonJson, status = 200): Reply {
  return {
    status,
    headers: { "content-type": "application/json; charset=utf-8" },
    body: stringifyPythonJson(value),
  };
}

export function emptyReply(status: number): Reply {
  return { status };
}

export function textReply(status: number, text: string, headers: Record<string, string> = {}): Reply {
  return { status, headers: { "content-type": "text/plain; charset=utf-8", ...headers }, body: text };
}

/** The reply to an exception in a route: never JSON, and the connection is closed. */
export function troubleReply(): Reply {
  return textReply(500, "500 Internal Server Error\n\nServer got itself in trouble", { connection: "close" });
}

export function writeHead(response: ServerResponse, reply: Reply, bytes: number | undefined): void {
  response.removeHeader("connection");
  response.writeHead(reply.status, {
    ...reply.headers,
    ...(bytes === undefined ? {} : { "content-length": String(bytes) }),
    server: serverHeader,
  });
}

/** Collects a body. Bytes beyond the limit are read and dropped, so that the client receives the reply. */
export async function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) continue;
    bytes += chunk.length;
    if (bytes <= bytesMax) chunks.push(chunk);
    else chunks.length = 0;
  }
  if (bytes > bytesMax) throw new BodyTooLargeError(bytesMax);
  return Buffer.concat(chunks);
}

export function parseBody(body: Buffer): PythonValue {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    throw new PythonError("UnicodeDecodeError", "'utf-8' codec can't decode the body");
  }
  if (text.startsWith("\ufeff")) throw new JsonDecodeError("Unexpected UTF-8 BOM (decode using utf-8-sig)");
  return parsePythonJson(text);
}
