import { type Request, type Response } from "express";
import { sessionTokensOf } from "./session-cookie.ts";

/** By what a request was let in. `none` = it needed nothing, because no key exists. */
export type Credential =
  | { readonly kind: "key"; readonly key: string }
  | { readonly kind: "session"; readonly token: string }
  | { readonly kind: "none" };

/** By what the request that this response answers was let in. */
export function credentialOf(response: Response): Credential {
  const credential = response.locals["credential"] as Credential | undefined;
  if (credential === undefined) throw new Error("An open route has no credential.");
  return credential;
}

/** The key that a request carries, valid or not; `isPage` = as the password of Basic authentication, too. */
export function sentKeyOf(request: Request, isPage?: true): string | undefined {
  return keyOf(request) ?? (isPage === true ? passwordOf(request) : undefined);
}

/**
 * How a refused client should send its key. A browser is asked for a password by `Basic`; a script of our own pages never
 * wants that, and neither does a person who had signed in.
 */
export function challengeOf(request: Request, isPage?: true): Record<string, string> {
  const { "sec-fetch-site": site, "sec-fetch-mode": mode } = request.headers;
  const isScript = site !== undefined && mode !== "navigate";
  const isBasic = isPage === true && !isScript && sessionTokensOf(request).length === 0;
  return { "www-authenticate": `${isBasic ? "Basic" : "Bearer"} realm="genga"` };
}

/** Whether a browser asks for a page to show, and sends no key by itself. */
export function wantsPage(request: Request): boolean {
  const isRead = request.method === "GET" || request.method === "HEAD";
  return isRead && (request.headers.accept ?? "").includes("text/html");
}

function keyOf(request: Request): string | undefined {
  const single = request.headers["x-api-key"];
  return typeof single === "string" && single !== "" ? single : credentialsOf(request, "bearer");
}

function passwordOf(request: Request): string | undefined {
  const credentials = credentialsOf(request, "basic");
  if (credentials === undefined) return undefined;
  const decoded = Buffer.from(credentials, "base64").toString("utf8");
  return decoded.slice(decoded.indexOf(":") + 1);
}

function credentialsOf(request: Request, scheme: string): string | undefined {
  const [given = "", value = ""] = (request.headers.authorization ?? "").split(/ +/, 2);
  return given.toLowerCase() === scheme && value !== "" ? value : undefined;
}
