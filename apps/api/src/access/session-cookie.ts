import { isLoopback } from "@genga/runtime";
import { type CookieOptions, type Request, type Response } from "express";
import { ownPageOf } from "../http/base-url.ts";

/** The cookie that holds the token of a session. */
export const sessionCookie = "genga_session";

/** A token is 32 bytes in base64url; nothing else is looked up. */
const tokenPattern = /^[A-Za-z0-9_-]{43}$/;
/**
 * A browser sends one cookie for each path and domain that fit: also those of other installations at the same host. More
 * than this come from nobody who means well.
 */
const tokensMax = 4;

/** The tokens that a request carries, that of the longest path first (RFC 6265, section 5.4). */
export function sessionTokensOf(request: Request): string[] {
  const tokens = (request.headers.cookie ?? "")
    .split(";")
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${sessionCookie}=`))
    .map((pair) => pair.slice(sessionCookie.length + 1))
    .filter((value) => tokenPattern.test(value));
  return [...new Set(tokens)].slice(0, tokensMax);
}

export function setSessionCookie(request: Request, response: Response, token: string, expiresAt: Date): void {
  const maxAge = Math.max(expiresAt.getTime() - Date.now(), 0);
  response.cookie(sessionCookie, token, { ...attributesFor(request, response), maxAge });
}

export function clearSessionCookie(request: Request, response: Response): void {
  response.clearCookie(sessionCookie, attributesFor(request, response));
}

/**
 * The attributes that a cookie for this browser must have: for the path under which the browser sees the API, and only over
 * TLS, except on this machine.
 */
function attributesFor(request: Request, response: Response): CookieOptions {
  const page = ownPageOf(response, request.headers.origin) ?? ownPageOf(response);
  if (page === undefined) throw new Error("Every request has a page of its own.");
  const isOnThisMachine = page.protocol === "http:" && isLoopback(page.hostname);
  // A semicolon would end the attribute.
  const path = page.pathname.includes(";") ? "/" : page.pathname;
  return { httpOnly: true, sameSite: "strict", secure: !isOnThisMachine, path };
}
