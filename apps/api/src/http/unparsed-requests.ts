import { STATUS_CODES, type Server, type ServerResponse } from "node:http";
import { type Duplex } from "node:stream";
import { problemDocumentOf, RefusedError, statusOf } from "./problem-document.ts";

/** Refusals by the `code` of errors of Node's HTTP parser; any other code is a malformed request. */
const refusals: Partial<Record<string, () => RefusedError>> = {
  HPE_INVALID_METHOD: () => methodNotKnown(),
  HPE_HEADER_OVERFLOW: () => new RefusedError("headers-too-large", "The head of the request is too large."),
  ERR_HTTP_REQUEST_TIMEOUT: () => new RefusedError("request-timeout", "The request did not arrive in time."),
};

/**
 * Answers requests that Node refuses before Express sees them with problem documents too: methods that Node does not
 * know, heads that are not HTTP or are too large, and CONNECT, which would make this server a proxy.
 */
export function answerUnparsedRequests(server: Server): void {
  const latest = new WeakMap<Duplex, ServerResponse>();
  server.on("request", ({ socket }, response) => {
    // An answer that waits for the one before it gets its socket when its turn comes.
    if (response.socket !== null) latest.set(socket, response);
    else response.once("socket", () => latest.set(socket, response));
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => {
    const response = latest.get(socket);
    const isAnswering = response !== undefined && response.headersSent && !response.writableFinished;
    // If an answer is being sent already, the client would read a second one as a part of it.
    if (error.code === "ECONNRESET" || !socket.writable || isAnswering) {
      socket.destroy();
      return;
    }
    const refuse = refusals[error.code ?? ""];
    answer(socket, refuse?.() ?? new RefusedError("bad-request", "The request is not well-formed HTTP."));
  });
  server.on("connect", (_request, socket: Duplex) => {
    socket.on("error", () => socket.destroy());
    answer(socket, methodNotKnown());
  });
}

function methodNotKnown(): RefusedError {
  return new RefusedError("method-not-allowed", "No path here has this method.", {
    headers: { allow: "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS" },
  });
}

function answer(socket: Duplex, refusal: RefusedError): void {
  const status = statusOf(refusal.code);
  const body = JSON.stringify(problemDocumentOf(refusal, "about:blank"));
  const headers = {
    ...refusal.headers,
    connection: "close",
    "content-type": "application/problem+json; charset=utf-8",
    "content-length": String(Buffer.byteLength(body)),
    "cache-control": "no-store",
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines.join("")}\r\n${body}`);
}
