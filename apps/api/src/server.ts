import { type Configuration } from "@genga/runtime";
import express, { type Express, type RequestHandler } from "express";
import helmet from "helmet";
import { type ApiDependencies } from "./dependencies.ts";
import { makeDocuments } from "./documentation/documents.ts";
import { answerErrors } from "./http/answer-errors.ts";
import { allowOrigins } from "./http/cross-origin.ts";
import { nameBaseUrl } from "./http/base-url.ts";
import { comfyApiPrefix, prefix } from "./http/paths.ts";
import { RefusedError } from "./http/problem-document.ts";
import { logRequests } from "./http/request-log.ts";
import { registerRoutes } from "./routing/register-routes.ts";
import { comfyRoutes } from "./routes/comfy-table.ts";
import { routes } from "./routes/table.ts";

/** Builds the Express application. Every request is authenticated before its body is read. */
export function createApp(
  dependencies: ApiDependencies,
  {
    publicUrl,
    trustedProxies,
    corsOrigins,
  }: Pick<Configuration, "publicUrl" | "trustedProxies" | "corsOrigins">,
): Express {
  const { access, log, metrics, leaving } = dependencies;
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.set("query parser", "simple");
  app.set("trust proxy", [...trustedProxies]);
  app.use(logRequests(log, metrics), sendElsewhere(leaving), securityHeaders(), access.refuseForeignHosts);
  const all = [...routes, ...comfyRoutes];
  app.use(allowOrigins(corsOrigins, all));
  app.use(access.refuseForeignPages, nameBaseUrl(publicUrl));
  app.use([prefix, comfyApiPrefix], keepFromCaches);
  registerRoutes(app, all, { ...dependencies, documents: makeDocuments(routes, { publicUrl }) });
  app.use(dependencies.pages.router());
  // Without a key a client does not learn which paths exist.
  app.use([prefix, comfyApiPrefix], access.require({ access: "read" }));
  app.use((request) => {
    throw new RefusedError("path-not-found", `There is nothing at ${request.path.slice(0, 200)}.`);
  });
  app.use(answerErrors(dependencies));
  return app;
}

/** A process that stops keeps no connection open, so that the client's next request goes to another process. */
function sendElsewhere(leaving: AbortSignal): RequestHandler {
  return (_request, response, next) => {
    if (leaving.aborted) response.set("connection", "close");
    next();
  };
}

/**
 * Answers depend on the principal and change, so no cache may keep them. Those that never change (`outputs/{id}`) set
 * their own header.
 */
const keepFromCaches: RequestHandler = (_request, response, next) => {
  response.set("cache-control", "no-store");
  next();
};

/** The API is served over plain HTTP on this machine, or behind a proxy with TLS, so no header insists on HTTPS. */
function securityHeaders(): ReturnType<typeof helmet> {
  return helmet({
    contentSecurityPolicy: { directives: { upgradeInsecureRequests: null } },
    strictTransportSecurity: false,
  });
}
