import { createReadStream } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type Duplex } from "node:stream";
import { pipeline } from "node:stream/promises";
import { PythonError } from "../python/python-values.ts";
import { type Clock } from "../execution/clock.ts";
import { type HttpFaults } from "../control/http-faults.ts";
import {
  BodyTooLargeError,
  emptyReply,
  parseBody,
  readBody,
  textReply,
  troubleReply,
  writeHead,
  type Exchange,
  type Reply,
} from "./http-exchange.ts";
import { type HttpRouter } from "./http-router.ts";
import { isForeignOrigin } from "./origin-check.ts";

interface ProtocolServerOptions {
  readonly router: HttpRouter;
  readonly clock: Clock;
  readonly faults: HttpFaults;
  readonly bodyBytesMax: number;
  /** Whether the server refuses requests that a browser marks as coming from another site, as 0.28 does. */
  readonly refusesCrossSite: boolean;
  /** Takes over a connection that asks for a WebSocket at `/ws`. */
  readonly onUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
}

/** The HTTP side of the server: routing and error replies as its web framework makes them (PROTOCOL 1). */
export function createProtocolServer(options: ProtocolServerOptions): Server {
  const server = createServer((request, response) => {
    void answer(options, request, response);
  });
  server.keepAliveTimeout = 75_000;
  server.requestTimeout = 0;
  server.on("upgrade", (request, socket, head) => {
    const { pathname } = urlOf(request);
    void options.clock.thawed().then(() => {
      const isSocket = pathname === "/ws" || pathname === "/api/ws";
      if (isSocket && !isForeignOrigin(request.headers.host, request.headers.origin)) {
        options.onUpgrade(request, socket, head);
      } else
        socket.end(`HTTP/1.1 ${isSocket ? "403 Forbidden" : "404 Not Found"}\r\ncontent-length: 0\r\n\r\n`);
    });
  });
  return server;
}

async function answer(
  options: ProtocolServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    await options.clock.thawed();
    const path = urlOf(request).pathname;
    await options.faults.delay(path);
    let reply = await replyTo(options, request);
    await options.clock.thawed();
    const isSubmission = request.method === "POST" && path.endsWith("/prompt") && reply.status === 200;
    if (isSubmission && options.faults.takeLostReply()) {
      request.socket.destroy();
      return;
    }
    if (isSubmission && options.faults.takeErrorAfterQueueing()) reply = troubleReply();
    await send(request, response, reply);
  } catch {
    // The client has disconnected or the file has vanished in the middle, so no reply can be completed.
    response.destroy();
  }
}

async function replyTo(options: ProtocolServerOptions, request: IncomingMessage): Promise<Reply> {
  const { router, bodyBytesMax } = options;
  const { pathname, searchParams } = urlOf(request);
  const method = request.method ?? "GET";
  if (isForeignOrigin(request.headers.host, request.headers.origin)) return emptyReply(403);
  if (options.refusesCrossSite && request.headers["sec-fetch-site"] === "cross-site") return emptyReply(403);
  if (method === "OPTIONS") return emptyReply(200);
  const found = router.find(method, pathname);
  if (found.kind === "no-such-path") {
    return {
      status: 404,
      headers: { "transfer-encoding": "chunked", "content-type": "application/octet-stream" },
    };
  }
  if (found.kind === "no-route") return textReply(404, "404: Not Found");
  if (found.kind === "wrong-method") return textReply(405, "405: Method Not Allowed", { allow: found.allow });
  const body = (): Promise<Buffer> => readBody(request, bodyBytesMax);
  const exchange: Exchange = {
    method,
    query: searchParams,
    headers: request.headers,
    parameter: found.parameter,
    body,
    json: async () => parseBody(await body()),
  };
  try {
    return await found.handler(exchange);
  } catch (error) {
    if (error instanceof BodyTooLargeError) return textReply(413, error.message);
    if (!(error instanceof PythonError)) process.stderr.write(`${String(error)} at ${method} ${pathname}\n`);
    return troubleReply();
  }
}

async function send(request: IncomingMessage, response: ServerResponse, reply: Reply): Promise<void> {
  if (reply.file) {
    const { path, start, end } = reply.file;
    writeHead(response, reply, end - start);
    if (request.method === "HEAD" || end === start) response.end();
    else await pipeline(createReadStream(path, { start, end: end - 1 }), response);
    return;
  }
  if (request.method === "HEAD" && reply.body === undefined) {
    writeHead(response, { ...reply, headers: headHeaders(reply) }, undefined);
    response.end();
    return;
  }
  const body = Buffer.from(reply.body ?? "");
  const hasLength = reply.status !== 304 && reply.headers?.["transfer-encoding"] === undefined;
  writeHead(response, reply, hasLength ? body.length : undefined);
  response.end(request.method === "HEAD" ? undefined : body);
}

/** A reply without a body has no length and no chunking, and a type only for a file with a known type. */
function headHeaders(reply: Reply): Record<string, string> {
  const isAboutFile = reply.headers?.["content-disposition"] !== undefined;
  const left = Object.entries(reply.headers ?? {}).filter(
    ([name]) => name !== "transfer-encoding" && (isAboutFile || name !== "content-type"),
  );
  return Object.fromEntries(left);
}

function urlOf(request: IncomingMessage): URL {
  return new URL(`http://simulator${request.url ?? "/"}`);
}
