import { isLoopback } from "@genga/runtime";
import { type CookieOptions, type Request, type Response } from "express";
import { ownPageOf } from "../http/base-url.ts";

/** The cookie that holds the token of a session. */
export const sessionCookie = "genga_session";
/** Its name where it is `Secure` and for every path: no browser takes a cookie of this name from another host, or for a path. */
const hostCookie = `__Host-${sessionCookie}`;

/** A token is 32 bytes in base64url; nothing else is looked up. */
const tokenPattern = /^[A-Za-z0-9_-]{43}$/;
/**
 * A browser sends one cookie for each path and domain that fit: also those of other installations at the same host. More
 * than this come from nobody who means well.
 */
const tokensMax = 4;

/**
 * The tokens that a request carries, that of the longest path first (RFC 6265, section 5.4). Where one came by the name that
 * nobody else can set, the others do not count.
 */
export function sessionTokensOf(request: Request): string[] {
  const pairs = (request.headers.cookie ?? "").split(";").map((pair) => pair.trim());
  const tokensOf = (name: string): string[] => {
    const tokens = pairs
      .filter((pair) => pair.startsWith(`${name}=`))
      .map((pair) => pair.slice(name.length + 1))
      .filter((value) => tokenPattern.test(value));
    return [...new Set(tokens)].slice(0, tokensMax);
  };
  const own = tokensOf(hostCookie);
  return own.length > 0 ? own : tokensOf(sessionCookie);
}

export function setSessionCookie(request: Request, response: Response, token: string, expiresAt: Date): void {
  const maxAge = Math.max(expiresAt.getTime() - Date.now(), 0);
  const attributes = attributesFor(request, response);
  response.cookie(nameWith(attributes), token, { ...attributes, maxAge });
}

export function clearSessionCookie(request: Request, response: Response): void {
  const attributes = attributesFor(request, response);
  response.clearCookie(nameWith(attributes), attributes);
}

/** Whether a browser keeps a cookie that is set at this address: elsewhere than on this machine only over TLS. */
export function keepsSessionCookie(response: Response): boolean {
  const page = ownPageOf(response);
  return page !== undefined && (page.protocol === "https:" || isLoopback(page.hostname));
}

function nameWith({ secure, path }: CookieOptions): string {
  return secure === true && path === "/" ? hostCookie : sessionCookie;
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
