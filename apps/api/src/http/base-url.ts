import { parseUrl } from "@genga/runtime";
import { type Request, type RequestHandler, type Response } from "express";
import { RefusedError } from "./problem-document.ts";

/** A DNS name has at most 253 characters; then a port. */
const hostLengthMax = 260;
/**
 * A name, an address, or an address in brackets, with or without a port. Nothing that a URL parser would read in
 * another way.
 */
const hostShape = /^(?:[\w.-]+|\[[\da-fA-F:.]+\])(?::\d{1,5})?$/;

/**
 * Finds the URL under which the client of a request reaches this API: `PUBLIC_URL`, or else the origin that the request
 * itself names. Behind trusted proxies (`TRUSTED_PROXIES`, Express's `trust proxy`) `X-Forwarded-Host` and
 * `X-Forwarded-Proto` count. A Host header that is not a host name is refused (RFC 9112, section 3.2).
 *
 * Clients choose this URL, so it may only appear in the answer to the same request, and no cache may keep that answer.
 */
export function nameBaseUrl(publicUrl: string | undefined): RequestHandler {
  return (request, response, next) => {
    const own = originOf(request);
    if (own === undefined)
      throw new RefusedError("bad-request", "The Host of the request is not a host name.");
    response.locals["baseUrl"] = publicUrl ?? own;
    response.locals["ownOrigin"] = own;
    next();
  };
}

/** The URL that links in this answer begin with, without a slash at its end. */
export function baseUrlOf(response: Response): string {
  return response.locals["baseUrl"] as string;
}

/**
 * The path below which the client of this request reaches this API, without a slash at its end: that of `PUBLIC_URL`, if the
 * client came by its host. The scheme does not count, since a proxy that ends TLS need not be a trusted one.
 */
export function basePathOf(response: Response): string {
  const linked = new URL(baseUrlOf(response));
  const own = new URL(response.locals["ownOrigin"] as string);
  return linked.host === own.host ? linked.pathname.replace(/\/+$/, "") : "";
}

/**
 * The origin under which a browser that sends this `Origin` would reach this API, with the path of its first page:
 * `PUBLIC_URL`, or what the request itself names. Without an `Origin`, that of the links in this answer.
 * @returns undefined = a page of this origin is not one of this API
 */
export function ownPageOf(response: Response, origin?: string): URL | undefined {
  const own = new URL(response.locals["ownOrigin"] as string);
  const linked = new URL(baseUrlOf(response));
  return [linked, own].find((url) => origin === undefined || url.origin === origin);
}

function originOf(request: Request): string | undefined {
  // Express uses the forwarded headers only where the proxy is trusted.
  const host: unknown = request.host;
  const scheme = request.protocol === "https" ? "https" : "http";
  // Only HTTP/1.0 requests may lack a Host; then the address that the client connected to is used.
  if (host === undefined || host === "") return `${scheme}://${addressOf(request)}`;
  if (typeof host !== "string" || host.length > hostLengthMax || !hostShape.test(host)) return undefined;
  return parseUrl(`${scheme}://${host}`)?.origin;
}

function addressOf({ socket }: Request): string {
  const { localAddress = "127.0.0.1", localPort = 80 } = socket;
  const address = localAddress.replace(/^::ffff:(?=[\d.]+$)/, "").replace(/%.*$/, "");
  return `${address.includes(":") ? `[${address}]` : address}:${localPort}`;
}
