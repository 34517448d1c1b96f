import { ComfyUIError } from "./errors.ts";

/** Errors that happen before the request is sent, so the server cannot have acted on it. */
const notSent = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EADDRNOTAVAIL",
  "UND_ERR_CONNECT_TIMEOUT",
]);
/** The server's certificate was not accepted (Node's and OpenSSL's codes), so nothing was sent. */
const badCertificate =
  /^(CERT_|ERR_TLS_CERT_|DEPTH_ZERO_SELF_SIGNED_CERT$|SELF_SIGNED_CERT_|UNABLE_TO_(VERIFY|GET)_|HOSTNAME_MISMATCH$)/;
const timedOut = new Set(["UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT", "ETIMEDOUT"]);

/**
 * Maps the errors of Node's sockets, undici and ws to `ComfyUIError`; no other file knows them. Errors that are
 * `ComfyUIError`s already pass through unchanged. So does the caller's own abort reason, which callers of this function
 * check first.
 */
export function toComfyUIError(error: unknown, what: string): ComfyUIError {
  if (error instanceof ComfyUIError) return error;
  const code = codeOf(error);
  const text = error instanceof Error ? error.message || code : String(error);
  if (notSent.has(code)) {
    return new ComfyUIError("server_unreachable", `${what}: the server cannot be reached (${text}).`, {
      cause: error,
    });
  }
  if (badCertificate.test(code)) {
    const message = `${what}: the server's certificate is not accepted (${text}).`;
    return new ComfyUIError("server_unreachable", message, { cause: error });
  }
  if (timedOut.has(code)) {
    return new ComfyUIError("request_timeout", `${what}: no answer in time (${text}).`, { cause: error });
  }
  const httpStatus = Number(/^Unexpected server response: (\d{3})$/.exec(text)?.[1] ?? 0);
  if (isDenied(httpStatus)) {
    const message = `${what}: HTTP ${httpStatus}${redirectNote(httpStatus)}`;
    return new ComfyUIError("access_denied", message, { cause: error, httpStatus });
  }
  if (
    code.startsWith("HPE_") ||
    code.startsWith("WS_ERR_") ||
    text.startsWith("Unexpected server response")
  ) {
    return new ComfyUIError("bad_reply", `${what}: not an answer of ComfyUI (${text}).`, { cause: error });
  }
  return new ComfyUIError("connection_lost", `${what}: the connection broke (${text}).`, { cause: error });
}

/**
 * ComfyUI redirects nobody. What does is something in front of it, such as a gateway that sends everybody without a
 * session to its sign-in page; so a redirect says nothing about the prompt or the file.
 */
function isDenied(httpStatus: number): boolean {
  const isRedirect = httpStatus >= 300 && httpStatus < 400;
  return isRedirect || httpStatus === 401 || httpStatus === 403 || httpStatus === 407;
}

function redirectNote(httpStatus: number): string {
  return httpStatus < 400 ? " (a redirect, which is not followed)" : "";
}

/**
 * The error for an HTTP status that is not a success. `body` is the beginning of the answer's body. It is left out where
 * credentials were refused, because such an answer may repeat them.
 */
export function errorOfStatus(httpStatus: number, body: string, what: string): ComfyUIError {
  const code = isDenied(httpStatus)
    ? "access_denied"
    : httpStatus >= 500 || httpStatus === 408 || httpStatus === 429
      ? "server_failed"
      : "request_refused";
  const excerpt = body.trim().split("\n", 1)[0]?.slice(0, 200) ?? "";
  const detail = code === "access_denied" ? redirectNote(httpStatus) : excerpt === "" ? "" : `: ${excerpt}`;
  return new ComfyUIError(code, `${what}: HTTP ${httpStatus}${detail}`, { httpStatus });
}

/**
 * The error for a POST that the server judges, of a graph or a file. A ComfyUI server refuses such a POST with 400 or
 * 413 (PROTOCOL 1, 2, 8); any other 4xx comes from something else, such as a proxy.
 */
export function errorOfPost(httpStatus: number, body: string, path: string): ComfyUIError {
  const error = errorOfStatus(httpStatus, body, `POST ${path}`);
  if (error.code !== "request_refused" || httpStatus === 400 || httpStatus === 413) return error;
  return new ComfyUIError("bad_reply", `Not an answer of ComfyUI. ${error.message}`, {
    cause: error,
    httpStatus,
  });
}

function codeOf(error: unknown): string {
  if (typeof error !== "object" || error === null || !("code" in error)) return "";
  return typeof error.code === "string" ? error.code : "";
}
