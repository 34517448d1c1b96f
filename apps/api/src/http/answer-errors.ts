import { type Logger } from "@genga/runtime";
import { type ErrorRequestHandler } from "express";
import { sendEnvelope } from "./error-envelope.ts";
import { refusalOf } from "./error-mapping.ts";
import { type Metrics } from "./metrics.ts";
import { isOfComfyApi } from "./paths.ts";
import { sendProblem, statusOf } from "./problem-document.ts";
import { factsOf } from "./request-facts.ts";
import { requestIdOf } from "./request-log.ts";

/** Answers every error that is thrown while a request is handled with a problem document, or as the Comfy API v2 says. */
export function answerErrors({
  log,
  metrics,
}: {
  log: Logger;
  metrics: Pick<Metrics, "refusedByLimit" | "jobsRefused">;
}): ErrorRequestHandler {
  // Express recognises an error handler by its four parameters.
  // eslint-disable-next-line @typescript-eslint/no-unused-vars
  return (error: unknown, request, response, _next) => {
    const submits = factsOf(response).submits === true;
    const isRead = request.method === "GET" || request.method === "HEAD";
    const refusal = refusalOf(error, {
      purpose: isRead ? "read" : submits ? "submit" : "change",
      coding: request.headers["content-encoding"],
    });
    const requestId = requestIdOf(response);
    if (refusal.code === "internal-error")
      log.error({ err: error, requestId }, "a request could not be handled");
    if (refusal.limit !== undefined) metrics.refusedByLimit.inc({ limit: refusal.limit.name });
    if (submits) metrics.jobsRefused.inc({ code: refusal.code });
    if (response.headersSent) {
      // Part of the answer was sent already, so the connection is cut. The client then sees that the answer is
      // incomplete.
      response.destroy();
      return;
    }
    if (statusOf(refusal.code) === 413) response.set("connection", "close");
    if (isOfComfyApi(request.path)) sendEnvelope(response, refusal);
    else sendProblem(response, refusal, `${request.baseUrl}${request.path}#${requestId}`);
  };
}
