import { isIP } from "node:net";
import { parseUrl } from "./parse-url.ts";

/** A ComfyUI server as the configuration names it. */
export interface ComfyUIAddress {
  /**
   * Identifies the server in rows, answers and logs: origin and path, in one spelling. Every machine has the same
   * loopback addresses, so SERVER_NAME is appended to those: `http://127.0.0.1:8188#pod-7`.
   */
  readonly identity: string;
  /** The URL for requests. It holds no secret. */
  readonly url: string;
  /** User and password for a proxy in front of the server; sent as Basic Authorization, and never shown. */
  readonly credentials: { readonly username: string; readonly password: string } | undefined;
  /**
   * The IP address at which the server is, where a name stands for several servers. Requests go to this address, under
   * the name in `url`; the identity has the address.
   */
  readonly ipAddress?: string;
  /** The URL's host name stands for a server at each of its addresses. Such an address is none of a server yet. */
  readonly resolves?: true;
}

/** A ComfyUI server, as one of the sources names it. */
export interface NamedServer {
  readonly address: ComfyUIAddress;
  readonly slots: number;
  /** Sorted. */
  readonly labels: readonly string[];
  /** The setting COMFYUI_URLS, the servers file, or an operator by the API. */
  readonly source: "setting" | "file" | "api";
  /** The name of its credentials in the servers file. */
  readonly credential: string | null;
  /** The host name that was resolved to the address. */
  readonly resolvedFrom: string | null;
}

/**
 * The reason why a text is not a server's address. The message quotes nothing of the text, because it may hold a
 * password.
 */
export class AddressError extends Error {
  override readonly name = "AddressError";
}

/** An index of rows by URL takes no more than about 2,700 bytes. */
const urlLengthMax = 2_000;

/** @throws AddressError */
export function readComfyUIAddress(text: string, serverName: string | undefined): ComfyUIAddress {
  const address = parseUrl(text);
  if (address === null || !/^https?:$/.test(address.protocol)) {
    throw new AddressError("URLs that begin with http:// or https://, separated by commas");
  }
  if (/[?#]/.test(text)) {
    throw new AddressError(
      "URLs without a query or a fragment: a token in one would be shown wherever the URL is; give user and password " +
        "(http://user:password@host), which are sent as Basic Authorization and shown nowhere",
    );
  }
  const url = identityOfUrl(text);
  if (url.length > urlLengthMax)
    throw new AddressError(`URLs of at most ${urlLengthMax} characters, percent-encoded`);
  const isNamed = serverName !== undefined && isLoopback(address.hostname);
  return {
    identity: isNamed ? `${url}#${serverName}` : url,
    url,
    credentials: credentialsIn(address),
  };
}

const resolving = "dns+";

/**
 * Reads the address of a server, or after `dns+` that of all servers at the addresses of a name: `dns+http://comfyui:8188`.
 * @throws AddressError
 */
export function readServerAddress(text: string, serverName: string | undefined): ComfyUIAddress {
  if (!text.startsWith(resolving)) return readComfyUIAddress(text, serverName);
  const { url, credentials } = readComfyUIAddress(text.slice(resolving.length), undefined);
  if (isIP(new URL(url).hostname.replace(/^\[|\]$/g, "")) !== 0)
    throw new AddressError("a host name, and no IP address, after dns+http:// or dns+https://");
  return { identity: `${resolving}${url}`, url, credentials, resolves: true };
}

/**
 * The server at one of the addresses of a name: its identity has the address, and its URL the name, for the header `Host`
 * and for certificates.
 */
export function resolvedServer(
  named: ComfyUIAddress,
  ipAddress: string,
  serverName: string | undefined,
): ComfyUIAddress {
  const { url, credentials } = named;
  const at = new URL(url);
  at.hostname = ipAddress.includes(":") ? `[${ipAddress}]` : ipAddress;
  const plain = identityOfUrl(at.href);
  const isNamed = serverName !== undefined && isLoopback(at.hostname);
  return { identity: isNamed ? `${plain}#${serverName}` : plain, url, credentials, ipAddress };
}

/**
 * Refuses two different credentials for one server, because Genga cannot know which of them is right. @throws
 * AddressError
 */
export function requireOneWayToEach(addresses: readonly ComfyUIAddress[]): void {
  const servers = new Set(addresses.map(({ identity }) => identity));
  const ways = new Set(addresses.map((address) => JSON.stringify(address)));
  if (ways.size > servers.size) {
    throw new AddressError("each server once, or always with the same user and password");
  }
}

/**
 * The one spelling of a server's address: lower-case host, no default port, no slash at the end, and neither user nor
 * password, so that a server with a new password keeps its identity. A name after `#` stays. A text that is not a URL
 * is returned unchanged.
 */
export function identityOfUrl(text: string): string {
  const url = parseUrl(text);
  if (url === null) return text;
  const { origin, pathname, hash } = url;
  return origin === "null" ? text : origin + pathname.replace(/\/+$/, "") + hash;
}

/** True for addresses and names that only this machine can reach. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host);
}

function credentialsIn({ username, password }: URL): ComfyUIAddress["credentials"] {
  if (username === "" && password === "") return undefined;
  try {
    return { username: decodeURIComponent(username), password: decodeURIComponent(password) };
  } catch {
    throw new AddressError(
      "URLs whose user and password are percent-encoded (% is %25, @ is %40, a comma %2C)",
    );
  }
}
