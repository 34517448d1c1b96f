import { type RequestHandler, type Response } from "express";
import { type Method } from "./paths.ts";

const allowed = {
  headers:
    "Authorization, Content-Type, Idempotency-Key, If-None-Match, If-Range, Last-Event-ID, Range, X-API-Key, X-Request-Id",
  exposedHeaders:
    "Accept-Ranges, Content-Disposition, Content-Range, ETag, Idempotency-Replayed, Location, Retry-After, X-Request-Id",
} as const;
/** How long a browser may remember what it was allowed. */
const rememberedSeconds = 600;

/**
 * Lets pages of these origins use the API (CORS): a browser shows its answers to such a page, and sends what the page may not send
 * without leave, such as a key. Every other page gets what it gets without this. Browsers are never asked to send along what
 * they know of a person, so a page needs a key of its own.
 * @param origins of `CORS_ORIGINS`, as browsers write them; empty = no page of another origin
 * @param routes all that the API has; their methods may be used
 */
export function allowOrigins(
  origins: readonly string[],
  routes: readonly { method: Method }[],
): RequestHandler {
  const known = new Set(origins);
  const methods = [
    ...new Set(routes.flatMap(({ method }) => (method === "GET" ? [method, "HEAD"] : method))),
  ];
  return (request, response, next) => {
    const { origin } = request.headers;
    // Caches must not give the answer for one page to another.
    if (known.size > 0) response.vary("Origin");
    if (origin === undefined || !known.has(origin)) {
      next();
      return;
    }
    response.locals["isAllowedOrigin"] = true;
    response.set("access-control-allow-origin", origin);
    response.set("access-control-expose-headers", allowed.exposedHeaders);
    const isPreflight =
      request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined;
    if (!isPreflight) {
      next();
      return;
    }
    // A browser asks without a key whether it may send one.
    response.set({
      "access-control-allow-methods": methods.join(", "),
      "access-control-allow-headers": allowed.headers,
      "access-control-max-age": String(rememberedSeconds),
    });
    response.status(204).end();
  };
}

/** Whether the request comes from a page whose origin the operator has allowed. */
export function isOfAllowedOrigin(response: Response): boolean {
  return response.locals["isAllowedOrigin"] === true;
}
