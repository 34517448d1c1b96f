import { type IncomingMessage } from "node:http";

/** The key that a request to the door carries, and whether it stood in its URL. */
export interface SentKey {
  key: string | undefined;
  isInUrl: boolean;
}

const keys = new WeakMap<IncomingMessage, SentKey>();

/**
 * `/key/<key>/prompt`: for clients of which only the URL of the server can be set. Some add a second slash before it, and a
 * proxy is asked for the whole URL.
 */
const prefixShape = /^(?:https?:\/\/[^/?]*)?\/+key\/(?<key>[^/?]+)(?<rest>\/.*|\?.*|)$/is;

/**
 * Takes the key out of the URL of a request, so that nothing that handles or logs the request sees it. A key in a header counts
 * before one in the URL.
 */
export function takeKey(request: IncomingMessage): SentKey {
  const known = keys.get(request);
  if (known !== undefined) return known;
  const inPath = takeFromPath(request);
  const inQuery = takeFromQuery(request);
  const header = headerKey(request);
  const sent: SentKey =
    header === undefined
      ? { key: inPath ?? inQuery, isInUrl: (inPath ?? inQuery) !== undefined }
      : { key: header, isInUrl: false };
  keys.set(request, sent);
  return sent;
}

function takeFromPath(request: IncomingMessage): string | undefined {
  const { key, rest = "" } = prefixShape.exec(request.url ?? "")?.groups ?? {};
  if (key === undefined) return undefined;
  request.url = rest.startsWith("/") ? rest : `/${rest}`;
  return decoded(key);
}

function takeFromQuery(request: IncomingMessage): string | undefined {
  const url = request.url ?? "";
  const cut = url.indexOf("?");
  if (cut === -1) return undefined;
  const query = new URLSearchParams(url.slice(cut + 1));
  const token = query.get("token");
  if (token === null) return undefined;
  query.delete("token");
  request.url = query.size === 0 ? url.slice(0, cut) : `${url.slice(0, cut)}?${query.toString()}`;
  return token === "" ? undefined : token;
}

function headerKey({ headers }: IncomingMessage): string | undefined {
  const single = headers["x-api-key"];
  if (typeof single === "string" && single !== "") return single;
  const [scheme = "", value = ""] = (headers.authorization ?? "").split(/ +/, 2);
  return scheme.toLowerCase() === "bearer" && value !== "" ? value : undefined;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
