import { type Exchange, type Reply } from "./http-exchange.ts";

export type Handler = (exchange: Exchange) => Reply | Promise<Reply>;

interface Route {
  readonly segments: readonly string[];
  readonly isApiOnly: boolean;
  readonly methods: ReadonlyMap<string, Handler>;
}

/** The router's result for a request. */
export type Found =
  | { readonly kind: "handler"; readonly handler: Handler; readonly parameter: string }
  | { readonly kind: "no-such-path" }
  /** No route accepts the request, not even the static one. */
  | { readonly kind: "no-route" }
  | { readonly kind: "wrong-method"; readonly allow: string };

/**
 * Resolves paths and methods as the server does (PROTOCOL 1): every route exists also under `/api`; after all of them a
 * static file route accepts any other GET, so an unknown path is 404 for GET and 405 for everything else.
 */
export class HttpRouter {
  readonly #routes: Route[] = [];

  /** @param path may contain one `/{}`, which takes one segment, percent-encoded slashes included */
  add(path: string, methods: Readonly<Record<string, Handler>>): void {
    this.#push(path, methods, false);
  }

  /** A path that exists under `/api` only. */
  addApiOnly(path: string, methods: Readonly<Record<string, Handler>>): void {
    this.#push(path, methods, true);
  }

  find(method: string, path: string): Found {
    if (path.startsWith("//"))
      return method === "GET" || method === "HEAD"
        ? { kind: "no-route" }
        : { kind: "wrong-method", allow: "GET,HEAD" };
    const isApi = path.startsWith("/api/");
    const segments = (isApi ? path.slice(4) : path).slice(1).split("/");
    const allowed = new Set<string>(["GET", "HEAD"]);
    for (const route of this.#routes) {
      if ((route.isApiOnly && !isApi) || !matches(route.segments, segments)) continue;
      const handler = route.methods.get(method) ?? (method === "HEAD" ? route.methods.get("GET") : undefined);
      const parameter = decode(segments[route.segments.indexOf("{}")] ?? "");
      if (handler) return { kind: "handler", handler, parameter };
      for (const known of route.methods.keys()) allowed.add(known);
    }
    if (method === "GET" || method === "HEAD") return { kind: "no-such-path" };
    return { kind: "wrong-method", allow: [...allowed].sort().join(",") };
  }

  #push(path: string, methods: Readonly<Record<string, Handler>>, isApiOnly: boolean): void {
    this.#routes.push({
      segments: path.slice(1).split("/"),
      isApiOnly,
      methods: new Map(Object.entries(methods)),
    });
  }
}

function matches(pattern: readonly string[], segments: readonly string[]): boolean {
  if (pattern.length !== segments.length) return false;
  return pattern.every((part, index) => (part === "{}" ? segments[index] !== "" : part === segments[index]));
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
