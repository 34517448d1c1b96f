import { randomUUID } from "node:crypto";
import { readTraceparent, traceIdOf, type Principal } from "@genga/jobs";
import { type Logger } from "@genga/runtime";
import { type RequestHandler, type Response } from "express";
import { type Metrics } from "./metrics.ts";
import { factsOf } from "./request-facts.ts";

/**
 * Writes one log line and one measurement for each request, when its answer has ended. Only paths are logged: queries
 * may hold prompts, and headers hold keys.
 */
export function logRequests(log: Logger, metrics: Metrics): RequestHandler {
  return (request, response, next) => {
    const startedAt = performance.now();
    const given = request.headers["x-request-id"];
    const requestId = typeof given === "string" && /^[\w.-]{1,64}$/.test(given) ? given : randomUUID();
    response.locals["requestId"] = requestId;
    response.set("x-request-id", requestId);
    const { method } = request;
    // A key for the door of ComfyUI's clients that came to the wrong port.
    const path = request.path.replace(/\/key\/[^/]+/i, "/key/[redacted]");
    response.once("close", () => {
      const durationMs = Math.round((performance.now() - startedAt) * 10) / 10;
      const { statusCode: status } = response;
      const principal = response.locals["principal"] as Principal | undefined;
      const level = status >= 500 ? "warn" : factsOf(response).isPolled ? "debug" : "info";
      const details = {
        requestId,
        method,
        path,
        status,
        durationMs,
        tenant: principal?.tenant.name,
        key: principal?.keyName,
        isWhole: response.writableFinished,
        traceId: traceIdOf(readTraceparent(request.headers["traceparent"])) ?? undefined,
      };
      log[level](details, `${method} ${path} ${status}`);
      const route = factsOf(response).id ?? "unknown";
      metrics.requestSeconds.observe({ method, route, status: String(status) }, durationMs / 1000);
    });
    next();
  };
}

/** The id under which the log knows this request. */
export function requestIdOf(response: Response): string {
  return response.locals["requestId"] as string;
}
