import { roles } from "@genga/jobs";
import { type Express, type IRoute, type RequestHandler } from "express";
import { type RouteAccess } from "../access/access.ts";
import { fullPath, isOfComfyApi } from "../http/paths.ts";
import { RefusedError } from "../http/problem-document.ts";
import { noteFacts } from "../http/request-facts.ts";
import { type HandledRoute, type Route, type RouteDependencies, type RouteFacts } from "./route.ts";

/**
 * Adds the routes to the application. In front of each handler stand, in this order: the check of the key and its role,
 * the limits of the tenant, and only then the reading of the body. At a path of the table every other method is
 * answered with 405 and the allowed methods.
 */
export function registerRoutes(app: Express, routes: readonly Route[], parts: RouteDependencies): void {
  for (const [path, ofPath] of byPath(routes)) {
    const handled = ofPath.filter((route) => "respond" in route);
    for (const mounted of ofPath.filter((route) => "routerOf" in route)) {
      app.use(path, noteFactsOf(mounted), parts.access.require(mounted), mounted.routerOf(parts));
    }
    if (handled.length > 0) registerPath(app.route(path), handled, parts);
  }
}

function registerPath(at: IRoute, routes: readonly HandledRoute[], parts: RouteDependencies): void {
  for (const route of routes) {
    const { method, body, respond } = route;
    const handle: RequestHandler = (request, response) => respond(request, response, parts);
    at[verbs[method]](noteFactsOf(route), guardsOf(route, parts), [...(body?.receive ?? [])], handle);
  }
  at.all(guardsOf(weakestOf(routes), parts), answerOtherMethods(routes));
}

function noteFactsOf(route: Route): RequestHandler {
  return (_request, response, next) => {
    noteFacts(response, route);
    next();
  };
}

const verbs = {
  GET: "get",
  HEAD: "head",
  POST: "post",
  PUT: "put",
  PATCH: "patch",
  DELETE: "delete",
} as const;

function byPath(routes: readonly Route[]): Map<string, Route[]> {
  const paths = new Map<string, Route[]>();
  for (const route of routes) {
    const path = fullPath(route.path);
    paths.set(path, [...(paths.get(path) ?? []), route]);
  }
  return paths;
}

/**
 * Whether requests of the route count towards the tenant's limits. Those outside of the prefixes do not, so that
 * operators can still see the state of the farm during a flood of requests.
 */
export function isLimited({ access, path }: Pick<RouteFacts, "access" | "path">): boolean {
  return access !== "open" && (!path.startsWith("/") || isOfComfyApi(path));
}

function guardsOf(route: RouteFacts, { access, admission }: RouteDependencies): RequestHandler[] {
  return [access.require(route), ...(isLimited(route) ? [admission.admit] : [])];
}

function answerOtherMethods(routes: readonly RouteFacts[]): RequestHandler {
  const allowed = routes.flatMap(({ method }) => (method === "GET" ? ["GET", "HEAD"] : [method]));
  const allow = [...allowed, "OPTIONS"].join(", ");
  return (request, response) => {
    if (request.method === "OPTIONS") {
      response.set("allow", allow).status(204).end();
      return;
    }
    throw new RefusedError("method-not-allowed", `${request.method} is not possible here; ${allow} are.`, {
      headers: { allow },
    });
  };
}

/**
 * Of the routes at a path, the one that needs the lowest role. Who may use that one may learn which methods the path
 * has.
 */
function weakestOf(routes: readonly RouteFacts[]): RouteFacts {
  const order: readonly RouteAccess[] = ["open", ...roles];
  const [first] = routes.toSorted((one, other) => order.indexOf(one.access) - order.indexOf(other.access));
  if (first === undefined) throw new Error("A path without a route cannot be registered.");
  return first;
}
