import { type Request, type Response } from "express";
import { ownPageOf } from "../http/base-url.ts";
import { RefusedError } from "../http/problem-document.ts";

/** The header that our own page sends with every request. No form can set it, and no page of another origin may. */
const pageHeader = "x-genga-page";

/** Whether the request changes nothing. */
export function isRead({ method }: Request): boolean {
  return method === "GET" || method === "HEAD" || method === "OPTIONS";
}

/**
 * Whether a browser says that a page of another origin made it send this request. `SameSite=Strict` keeps the cookie from
 * other sites, but not from other origins of the same site, to which every port of this machine belongs. A person who
 * follows a link from there comes with the cookie, too, and may.
 */
export function isFromElsewhere(request: Request, response: Response): boolean {
  const { origin } = request.headers;
  if (origin !== undefined && ownPageOf(response, origin) === undefined) return true;
  const site = request.headers["sec-fetch-site"];
  if (site !== "cross-site" && site !== "same-site") return false;
  const { "sec-fetch-mode": mode, "sec-fetch-dest": destination } = request.headers;
  return !(isRead(request) && mode === "navigate" && destination === "document");
}

/**
 * A request that changes something by a cookie must come from our own page: a browser adds the cookie to whatever any page
 * makes it send.
 * @throws RefusedError `origin-not-allowed`
 */
export function requireOwnPage(request: Request, response: Response): void {
  const { origin } = request.headers;
  if (origin === undefined || isFromElsewhere(request, response)) {
    throw new RefusedError(
      "origin-not-allowed",
      `With a session only pages of ${ownPageOf(response)?.origin ?? ""} may change anything, and ` +
        `${origin === undefined ? "the request names no Origin" : "this request comes from elsewhere"}. ` +
        "Behind a proxy set PUBLIC_URL or TRUSTED_PROXIES; programs send an API key.",
    );
  }
  if (request.headers[pageHeader] !== "1") {
    throw new RefusedError(
      "origin-not-allowed",
      "With a session, what changes anything needs the header X-Genga-Page: 1.",
    );
  }
}
