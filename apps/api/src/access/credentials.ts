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

/** How a refused client should send its key. A browser with a session is not asked for a password. */
export function challengeOf(request: Request, isPage?: true): Record<string, string> {
  const isBasic = isPage === true && sessionTokensOf(request).length === 0;
  return { "www-authenticate": `${isBasic ? "Basic" : "Bearer"} realm="genga"` };
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
