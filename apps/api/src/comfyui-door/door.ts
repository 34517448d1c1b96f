import { type IncomingMessage, type RequestListener } from "node:http";
import { type Duplex } from "node:stream";
import { type ServiceConfiguration } from "@genga/runtime";
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from "express";
import { allowOrigins } from "../http/cross-origin.ts";
import { refusalOf } from "../http/error-mapping.ts";
import { listen, type ListeningServer } from "../http/listening-server.ts";
import { problemDocumentOf, RefusedError, statusOf } from "../http/problem-document.ts";
import { factsOf, noteFacts } from "../http/request-facts.ts";
import { logRequests, requestIdOf } from "../http/request-log.ts";
import { DoorAccess, type Admitted } from "./door-access.ts";
import { type DoorParts } from "./door-parts.ts";
import { type DoorUpgrades } from "./own-door-parts.ts";
import { type DoorRoute } from "./door-route.ts";
import { takeKey } from "./request-key.ts";
import { doorRoutes } from "./routes/table.ts";
import { serverError, type ServerRefusal } from "./server-refusal.ts";

/**
 * Serves ComfyUI's own protocol on a port of its own, as one server in front of the whole farm
 * (docs/decisions/0026-comfyui-door.md).
 */
export async function openDoor(
  parts: DoorParts,
  settings: Pick<ServiceConfiguration, "host" | "corsOrigins" | "trustedProxies" | "publicUrl">,
  port: number,
): Promise<ListeningServer> {
  const access = new DoorAccess({ access: parts.access, corsOrigins: settings.corsOrigins });
  const app = createDoorApp(parts, access, settings);
  const answer: RequestListener = (request, response) => {
    // Before anything sees the URL.
    takeKey(request);
    app(request, response);
  };
  const addressOf = (request: IncomingMessage): string => ipOf(app, request);
  parts.door.askedHistory.open();
  return await listen(answer, {
    ...{ host: settings.host, port },
    onUpgrade: (request, socket, head) => {
      void acceptUpgrade({ request, socket, head }, { access, addressOf, upgrades: parts.door.upgrades });
    },
  });
}

function createDoorApp(
  parts: DoorParts,
  access: DoorAccess,
  {
    corsOrigins,
    trustedProxies,
    publicUrl,
  }: Pick<ServiceConfiguration, "corsOrigins" | "trustedProxies" | "publicUrl">,
): Express {
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.enable("strict routing");
  app.set("query parser", "simple");
  app.set("trust proxy", [...trustedProxies]);
  app.set("address of the page", publicUrl);
  app.use(logRequests(parts.log, parts.metrics), headers(parts.leaving));
  app.use(allowOrigins(corsOrigins, doorRoutes));
  for (const route of doorRoutes) {
    const paths = route.isApiOnly === true ? [`/api${route.path}`] : [route.path, `/api${route.path}`];
    app[verbs[route.method]](paths, ...handlersOf(route, parts, access));
  }
  app.use(guard(access), async (request, response) => {
    if (request.method === "OPTIONS") response.status(200).end();
    else if (/^\/api\/(assets|tags)(\/|$)/.test(request.path) && (await parts.door.history.isNewer()))
      response.status(503).json(noAssets);
    else if (/^(\/api)?\/ws$/.test(request.path) && request.method === "GET")
      response.status(400).type("text").send(noUpgrade);
    // A server looks for the path among its files.
    else if (request.method === "GET" || request.method === "HEAD")
      response.status(404).type("application/octet-stream").end();
    else
      response.status(405).set("allow", allowedAt(request.path)).type("text").send("405: Method Not Allowed");
  });
  app.use(answerErrors(parts));
  return app;
}

/** Methods at a path, as a server names them: files are read at any path. */
function allowedAt(path: string): string {
  const plain = path.replace(/^\/api(?=\/)/, "");
  const posts = doorRoutes.some((route) => route.method === "POST" && route.path === plain);
  return posts ? "GET,HEAD,POST" : "GET,HEAD";
}

/** What newer servers say unless they were started with assets. */
const noAssets = {
  error: {
    code: "SERVICE_DISABLED",
    message: "Assets system is disabled. Start the server with --enable-assets to use this feature.",
    details: {},
  },
};

const noUpgrade = 'No WebSocket UPGRADE hdr: None\n Can "Upgrade" only to "WebSocket".';

const verbs = { GET: "get", POST: "post" } as const;

function handlersOf(route: DoorRoute, parts: DoorParts, access: DoorAccess): RequestHandler[] {
  const { id, submits, isPolled } = route;
  const note: RequestHandler = (_request, response, next) => {
    noteFacts(response, { id: `door.${id}`, ...(submits && { submits }), ...(isPolled && { isPolled }) });
    next();
  };
  const handle: RequestHandler = async (request, response) => {
    const { principal } = response.locals as unknown as Admitted;
    await route.handle({ request, response, principal }, parts);
  };
  // A route that receives nothing beforehand reads its body, a file, as it arrives.
  const inTurn = parts.admission.admitInTurn(guardAgain(access), { holdsBody: route.receive !== undefined });
  return [note, guard(access), inTurn, ...(route.receive ?? []), handle];
}

function guardAgain(access: DoorAccess): RequestHandler {
  return async (request, response, next) => {
    await access.admitAgain(request, request.ip ?? "", response.locals as unknown as Admitted);
    next();
  };
}

function guard(access: DoorAccess): RequestHandler {
  return async (request, response, next) => {
    Object.assign(response.locals, await access.admit(request, request.ip ?? ""));
    next();
  };
}

/** Answers change, belong to one tenant, and may have come to a URL with a key in it. */
function headers(leaving: AbortSignal): RequestHandler {
  return (_request, response, next) => {
    response.set({
      "cache-control": "no-store",
      "content-security-policy": "default-src 'none'; sandbox",
      "cross-origin-resource-policy": "same-origin",
      "referrer-policy": "no-referrer",
      "x-content-type-options": "nosniff",
      "x-genga": "door",
    });
    if (leaving.aborted) response.set("connection", "close");
    next();
  };
}

/** Refuses in the form of a server: `{error, node_errors}`. */
function answerErrors({ log, metrics }: Pick<DoorParts, "log" | "metrics">): ErrorRequestHandler {
  // Express recognises an error handler by its four parameters.
  // eslint-disable-next-line @typescript-eslint/no-unused-vars
  return (error: unknown, request, response, _next) => {
    const submits = factsOf(response).submits === true;
    const isRead = request.method === "GET" || request.method === "HEAD";
    const refusal = refusalOf(error, {
      purpose: isRead ? "read" : submits ? "submit" : "change",
      coding: request.headers["content-encoding"],
    });
    if (refusal.code === "internal-error")
      log.error({ err: error, requestId: requestIdOf(response) }, "a request could not be handled");
    if (refusal.limit !== undefined) metrics.refusedByLimit.inc({ limit: refusal.limit.name });
    if (submits) metrics.jobsRefused.inc({ code: refusal.code });
    if (response.headersSent) {
      response.destroy();
      return;
    }
    const status = statusOf(refusal.code);
    if (status === 413) response.set("connection", "close");
    response.set({ ...refusal.headers });
    response.status(status === 422 ? 400 : status).json(inServersWords(refusal));
  };
}

function inServersWords(refusal: RefusedError): ServerRefusal {
  const { title } = problemDocumentOf(refusal, "");
  const type = refusal.code.replaceAll("-", "_");
  return { error: serverError(type, title, { details: refusal.message }), node_errors: {} };
}

/** Lets in who may open a WebSocket; everybody else gets an answer, and the connection ends. */
async function acceptUpgrade(
  { request, socket, head }: { request: IncomingMessage; socket: Duplex; head: Buffer },
  {
    access,
    addressOf,
    upgrades,
  }: {
    access: DoorAccess;
    addressOf: (request: IncomingMessage) => string;
    upgrades: DoorUpgrades;
  },
): Promise<void> {
  const onError = (): void => {
    socket.destroy();
  };
  socket.on("error", onError);
  takeKey(request);
  try {
    const path = (request.url ?? "").split("?")[0];
    if (path !== "/ws" && path !== "/api/ws")
      throw new RefusedError("path-not-found", "No WebSocket is served here.");
    const admitted = await access.admit(request, addressOf(request));
    if (socket.destroyed) return;
    socket.off("error", onError);
    upgrades.accept(request, socket, head, admitted);
  } catch (error) {
    const refusal = refusalOf(error, { purpose: "read" });
    const body = JSON.stringify(inServersWords(refusal));
    socket.end(
      `HTTP/1.1 ${statusOf(refusal.code)} Refused\r\nconnection: close\r\ncontent-type: application/json\r\n` +
        `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
  }
}

/** The address of a client, behind trusted proxies as well; Express finds it for requests of its own only. */
function ipOf(app: Express, request: IncomingMessage): string {
  const asked = Object.create(app.request, {
    headers: { value: request.headers },
    socket: { value: request.socket },
    connection: { value: request.socket },
  }) as typeof app.request;
  return asked.ip ?? "";
}
