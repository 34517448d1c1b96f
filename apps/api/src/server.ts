import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo } from "node:net";
import { type Configuration } from "@genga/runtime";
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from "express";
import helmet from "helmet";
import { nameBaseUrl } from "./http/base-url.ts";
import { type ApiDependencies } from "./dependencies.ts";
import { refusalOf } from "./http/error-mapping.ts";
import { GuardedRoutes } from "./access/guarded-routes.ts";
import { addDocumentationRoutes } from "./routes/documentation.ts";
import { addAuditRoutes } from "./routes/audit-events.ts";
import { addKeyRoutes } from "./routes/keys.ts";
import { addBatchRoutes } from "./routes/batches.ts";
import { addGenerateRoutes } from "./routes/generate.ts";
import { addHealthRoutes } from "./routes/health.ts";
import { addJobEventRoutes } from "./routes/job-events.ts";
import { addJobRoutes } from "./routes/jobs.ts";
import { addOutputRoutes } from "./routes/outputs.ts";
import { addQueueRoutes } from "./routes/queue.ts";
import { addServerRoutes } from "./routes/servers.ts";
import { addFarmRoutes } from "./routes/farm.ts";
import { addWorkerRoutes } from "./routes/workers.ts";
import { addTenantLimitRoutes } from "./routes/tenant-limits.ts";
import { addUploadRoutes } from "./routes/uploads.ts";
import { boardPath, isSubmission, prefix } from "./http/paths.ts";
import { RefusedError, sendProblem, statusOf } from "./http/problem-document.ts";
import { logRequests, requestIdOf } from "./http/request-log.ts";
import { answerUnparsedRequests } from "./http/unparsed-requests.ts";

/** The API as an Express application; who may do what is decided before anything is read. */
export function createApp(
  dependencies: ApiDependencies,
  { publicUrl, trustedProxies }: Pick<Configuration, "publicUrl" | "trustedProxies">,
): Express {
  const { access, admission, board, log, metrics } = dependencies;
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.set("query parser", "simple");
  app.set("trust proxy", [...trustedProxies]);
  app.use(logRequests(log, metrics), securityHeaders(), access.refuseForeignPages, nameBaseUrl(publicUrl));

  app.use(prefix, keepFromCaches);
  const routes = new GuardedRoutes(app, access, admission);
  addHealthRoutes(routes, dependencies);
  addDocumentationRoutes(routes, { access, publicUrl });
  addKeyRoutes(routes, dependencies);
  addAuditRoutes(routes, dependencies);
  addGenerateRoutes(routes, dependencies);
  addBatchRoutes(routes, dependencies);
  addJobEventRoutes(routes, dependencies);
  addJobRoutes(routes, dependencies);
  addOutputRoutes(routes, dependencies);
  addQueueRoutes(routes, dependencies);
  addServerRoutes(routes, dependencies);
  addWorkerRoutes(routes, dependencies);
  addFarmRoutes(routes, dependencies);
  addUploadRoutes(routes, dependencies);
  addTenantLimitRoutes(routes, dependencies);
  routes.resource("/metrics", {
    get: async (_request, response) => {
      response.type(metrics.registry.contentType).send(await metrics.registry.metrics());
    },
  });
  routes.mount(boardPath, board.router);
  // Which paths there are is not told to those without a key.
  app.use(prefix, access.require({ access: "read" }));
  app.use((request) => {
    throw new RefusedError("path-not-found", `There is nothing at ${request.path.slice(0, 200)}.`);
  });
  app.use(answerErrors(dependencies));
  return app;
}

/** Answers belong to whoever asked, and change; those that never do (`outputs/{id}`) say so themselves. */
const keepFromCaches: RequestHandler = (_request, response, next) => {
  response.set("cache-control", "no-store");
  next();
};

/** Served over plain HTTP on this machine and behind somebody's TLS elsewhere: nothing here insists on HTTPS. */
function securityHeaders(): ReturnType<typeof helmet> {
  return helmet({
    contentSecurityPolicy: { directives: { upgradeInsecureRequests: null } },
    strictTransportSecurity: false,
  });
}

function answerErrors({ log, metrics }: ApiDependencies): ErrorRequestHandler {
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

/** A server that listens. */
export interface ListeningServer {
  url: string;
  port: number;
  /** Ends what is under way; connections that linger are cut. */
  close(): Promise<void>;
}

/** How long a client may take to send a request. */
const requestTimeoutMs = 60_000;
const lingerMs = 2_000;

export async function listen(
  app: Express,
  options: { host: string; port: number },
): Promise<ListeningServer> {
  const server = createServer({ requestTimeout: requestTimeoutMs, keepAliveTimeout: 10_000 }, app);
  answerUnparsedRequests(server);
  server.listen(options.port, options.host);
  await once(server, "listening");
  const { port, address, family } = server.address() as AddressInfo;
  const host = family === "IPv6" ? `[${address}]` : address;
  return { url: `http://${host}:${port}`, port, close: () => closeServer(server) };
}

async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => {
      resolve();
    });
  });
  // A connection whose last answer ends now becomes idle later.
  const sweeping = setInterval(() => {
    server.closeIdleConnections();
  }, 20);
  const timer = setTimeout(() => {
    server.closeAllConnections();
  }, lingerMs);
  await closed;
  clearInterval(sweeping);
  clearTimeout(timer);
}
