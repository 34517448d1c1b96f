import { type RequestListener } from "node:http";
import { envelopeOf } from "./error-envelope.ts";
import { isOfComfyApi } from "./paths.ts";
import { problemDocumentOf, RefusedError, statusOf } from "./problem-document.ts";

/**
 * Answers requests while the API waits for what it needs: it is alive, and cannot do anything yet. So probes and load
 * balancers get an answer in whichever order processes start.
 */
export const answerWhileStarting: RequestListener = (request, response) => {
  const path = request.url?.split("?", 1)[0] ?? "";
  const isRead = request.method === "GET" || request.method === "HEAD";
  if (path === "/health/live" && isRead) {
    response
      .writeHead(200, { "content-type": "application/json; charset=utf-8", "cache-control": "no-store" })
      .end(JSON.stringify({ status: "ok" }));
    return;
  }
  const refusal = new RefusedError(
    "store-unavailable",
    "This process is starting and waits for the database. Nothing was changed.",
  );
  const { status, envelope } = envelopeOf(refusal);
  const [said, mediaType, document] = isOfComfyApi(path)
    ? [status, "application/json", envelope]
    : [statusOf(refusal.code), "application/problem+json", problemDocumentOf(refusal, "about:blank")];
  response
    .writeHead(said, {
      "content-type": `${mediaType}; charset=utf-8`,
      "cache-control": "no-store",
      "retry-after": "2",
      // The body of the request is not read.
      connection: "close",
    })
    .end(JSON.stringify(document));
};
