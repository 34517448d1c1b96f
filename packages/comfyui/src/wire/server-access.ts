import { isIP, type LookupFunction } from "node:net";

/** User and password for a proxy in front of the server. */
interface UserAndPassword {
  username: string;
  password: string;
}

/** How a server is reached, besides its URL. */
export interface ServerAccess {
  /**
   * The value of the header `Authorization`; `undefined` = none is sent. It is asked for each request and each opening
   * of a socket, so that new credentials count at once. Used instead of `user:password@` in the URL. May throw a
   * `ComfyUIError`.
   */
  authorization?: (() => string | undefined) | undefined;
  /**
   * The IP address to connect to, instead of looking up the URL's host. The header `Host`, and for https the name for
   * which the certificate must be valid, stay those of the URL.
   */
  ipAddress?: string | undefined;
}

export function basicAuthorization({ username, password }: UserAndPassword): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

/** The headers of a request, by the given authorization, or else by the credentials in the URL. */
export function accessHeaders(url: URL, { authorization }: ServerAccess): Record<string, string> {
  const value = authorization === undefined ? authorizationInUrl(url) : authorization();
  return value === undefined ? {} : { authorization: value };
}

/** Leads every name to one address; `undefined` = names are looked up as usual. */
export function lookupOf({ ipAddress }: ServerAccess): LookupFunction | undefined {
  if (ipAddress === undefined) return undefined;
  const family = isIP(ipAddress);
  return (_name, options, done) => {
    if (options.all === true) done(null, [{ address: ipAddress, family }]);
    else done(null, ipAddress, family);
  };
}

function authorizationInUrl(url: URL): string | undefined {
  const username = decodeURIComponent(url.username);
  const password = decodeURIComponent(url.password);
  return username === "" && password === "" ? undefined : basicAuthorization({ username, password });
}
