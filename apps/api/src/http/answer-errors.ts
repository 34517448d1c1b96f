import { type Logger } from "@genga/runtime";
import { type ErrorRequestHandler } from "express";
import { refusalOf } from "./error-mapping.ts";
import { type Metrics } from "./metrics.ts";
import { isSubmission } from "./paths.ts";
import { sendProblem, statusOf } from "./problem-document.ts";
import { requestIdOf } from "./request-log.ts";

/** Answers with a problem document whatever was thrown while a request was handled. */
export function answerErrors({
  log,
  metrics,
}: {
  log: Logger;
  metrics: Pick<Metrics, "refusedByLimit" | "jobsRefused">;
}): ErrorRequestHandler {
  // Express tells an error handler by its four arguments.
  // eslint-disable-next-line @typescript-eslint/no-unused-vars
  return (error: unknown, request, response, _next) => {
    const refusal = refusalOf(error, request);
    const requestId = requestIdOf(response);
    if (refusal.code === "internal-error")
      log.error({ err: error, requestId }, "a request could not be handled");
    if (refusal.limit !== undefined) metrics.refusedByLimit.inc({ limit: refusal.limit.name });
    if (isSubmission(request)) metrics.jobsRefused.inc({ code: refusal.code });
    if (response.headersSent) {
      // Nothing can be taken back: the connection ends, and the reader sees that the answer is not whole.
      response.destroy();
      return;
    }
    if (statusOf(refusal.code) === 413) response.set("connection", "close");
    sendProblem(response, refusal, `${request.baseUrl}${request.path}#${requestId}`);
  };
}
