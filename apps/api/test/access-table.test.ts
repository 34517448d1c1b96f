import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { defaultLane, roleIncludes, roles } from "@genga/jobs";
import { createLogger, readConfiguration, requireServices } from "@genga/runtime";
import { type Express } from "express";
import { z } from "zod";
import { openDependencies, type ApiDependencies } from "../src/dependencies.ts";
import { describeApi } from "../src/documentation/openapi.ts";
import { boardPath, fullPath } from "../src/http/paths.ts";
import { type Route } from "../src/routing/route.ts";
import { comfyRoutes } from "../src/routes/comfy-table.ts";
import { routes } from "../src/routes/table.ts";
import { createApp } from "../src/server.ts";
import { startApiUnderTest, type ApiUnderTest } from "./api-under-test.ts";

const keys = { read: "key-that-reads", submit: "key-that-submits", operate: "key-that-operates" };
let api: ApiUnderTest;

beforeAll(async () => {
  const apiKeys = roles.map((role) => `studio:${role}:${keys[role]}`).join();
  api = await startApiUnderTest({
    env: { API_KEYS: apiKeys, HOST: "0.0.0.0", WRONG_KEYS_PER_MINUTE: "1000" },
  });
});
afterAll(() => api.stop());

const unknownId = "0190b8a0-0000-7000-8000-00000000dead";

/** Asks for what the route is about, of something that is not there, and with a body that nothing accepts. */
async function ask({ method, path }: Route, key?: string): Promise<{ status: number; code?: string }> {
  const leaving = new AbortController();
  const response = await api.request(fullPath(path).replace(/:(id|name|hash)/, unknownId), {
    method,
    headers: {
      ...(key === undefined ? {} : { "x-api-key": key }),
      ...(/^(POST|PUT|PATCH)$/.test(method) ? { "content-type": "application/json" } : {}),
    },
    ...(/^(POST|PUT|PATCH)$/.test(method) ? { body: "{}" } : {}),
    signal: leaving.signal,
  });
  // A live stream goes on for ever.
  if (response.headers.get("content-type")?.startsWith("text/event-stream") === true) {
    leaving.abort();
    return { status: response.status };
  }
  const text = await response.text();
  if (path.startsWith("/api/v2") && response.status >= 400 && method !== "HEAD")
    return { status: response.status, ...(JSON.parse(text) as { error: { code: string } }).error };
  const isProblem = response.headers.get("content-type")?.startsWith("application/problem+json") === true;
  return { status: response.status, ...(isProblem ? (JSON.parse(text) as { code: string }) : {}) };
}

const refusals = ["key-missing", "key-unknown", "role-too-low"];

describe.each(routes.map((line) => [`${line.method} ${line.path}`, line] as const))("%s", (_name, line) => {
  test(`is ${line.access === "open" ? "open to everybody" : "refused without a key, and with a wrong one"}`, async () => {
    if (line.access === "open") {
      expect(refusals).not.toContain((await ask(line)).code);
      return;
    }
    expect(await ask(line)).toMatchObject({ status: 401, code: "key-missing" });
    expect(await ask(line, "a-key-of-nobody")).toMatchObject({ status: 401, code: "key-unknown" });
  });

  test.each(roles)("with a key that may %s", async (role) => {
    const { status, code } = await ask(line, keys[role]);
    const isAllowed = line.access === "open" || roleIncludes(role, line.access);
    if (isAllowed) expect(refusals).not.toContain(code);
    else expect([status, code]).toEqual([403, "role-too-low"]);
  });
});

describe.each(comfyRoutes.map((line) => [`${line.method} ${line.path}`, line] as const))(
  "%s",
  (_name, line) => {
    test("is refused without a key, and with a wrong one", async () => {
      const refused = { status: 401, ...(line.method !== "HEAD" && { code: "unauthorized" }) };
      expect(await ask(line)).toMatchObject(refused);
      expect(await ask(line, "a-key-of-nobody")).toMatchObject(refused);
    });

    test.each(roles)("with a key that may %s", async (role) => {
      const { status, code } = await ask(line, keys[role]);
      const isAllowed = line.access === "open" || roleIncludes(role, line.access);
      if (isAllowed) expect([401, 403]).not.toContain(status);
      else expect([status, code]).toEqual([403, "forbidden"]);
    });
  },
);

// What the tests above ask for comes from the table itself; these lists say a second time what the table must say.
describe("the table", () => {
  const linesOf = (access: Route["access"]): string[] =>
    routes.filter((line) => line.access === access).map(({ method, path }) => `${method} ${path}`);

  test("lets nobody but operators change the farm, keys and limits, or see workers, changes, figures and tickets of all", () => {
    expect(linesOf("operate").toSorted()).toEqual(
      [
        ...[
          "POST servers",
          "POST servers/:id/drain",
          "POST servers/:id/resume",
          "POST servers/:id/recycle",
          "DELETE servers/:id",
          "GET workers",
        ],
        ...["POST lanes/:name/pause", "POST lanes/:name/resume"],
        ...["POST farm/pause", "POST farm/resume", "GET tenants/:name/limits", "PUT tenants/:name/limits"],
        ...["GET keys", "POST keys", "DELETE keys/:id", "POST keys/:id/rotate", "GET audit-events"],
        ...["GET sessions", "DELETE sessions/:id"],
        ...["GET /metrics", "GET /admin/queues"],
      ].toSorted(),
    );
  });

  test("opens only health, the landing page, the documentation and signing in to everybody", () => {
    expect(linesOf("open").toSorted()).toEqual(
      [
        ...["GET /", "GET /docs", "GET /docs/redoc.js", "GET /openapi.json"],
        ...["GET health", "GET health/ready", "GET /health/ready", "GET /health/live"],
        // A page asks whether it must sign in, signs in with a key, and signs out.
        ...["GET session", "POST session", "DELETE session"],
        // They need the token of a signed link.
        ...["GET outputs/:id/shared", "GET batches/:id/outputs.zip/shared"],
      ].toSorted(),
    );
  });

  test("lets keys of the role read change nothing", () => {
    const changing = linesOf("read").filter((line) => !line.startsWith("GET "));
    expect(changing).toEqual([]);
    const ofComfy = comfyRoutes.filter(
      ({ access, method }) => access === "read" && !/^(GET|HEAD)$/.test(method),
    );
    expect(ofComfy).toEqual([]);
    expect(comfyRoutes.filter(({ access }) => access !== "read" && access !== "submit")).toEqual([]);
  });
});

test("the body of a client that may not send one is not read", async () => {
  for (const path of ["generate", "batches", "uploads"]) {
    const send = (key?: string): Promise<Response> =>
      api.post(path, "not JSON", key === undefined ? {} : { "x-api-key": key });
    expect([path, (await send()).status]).toEqual([path, 401]);
    expect([path, (await send(keys.read)).status]).toEqual([path, 403]);
    expect([path, (await send(keys.submit)).status]).toEqual([path, path === "uploads" ? 415 : 400]);
  }
});

test("the allowed methods of a path are shown only to clients that may use one of them", async () => {
  const statusOf = async (method: string, path: string, key?: string): Promise<number> =>
    (await api.request(path, { method, ...(key === undefined ? {} : { headers: { "x-api-key": key } }) }))
      .status;
  expect(await statusOf("PUT", "jobs")).toBe(401);
  expect(await statusOf("PUT", "jobs", keys.read)).toBe(405);
  expect(await statusOf("OPTIONS", "generate", keys.read)).toBe(403);
  expect(await statusOf("OPTIONS", "generate", keys.submit)).toBe(204);
  expect(await statusOf("DELETE", "health")).toBe(405);
  expect(await statusOf("GET", "no/such/path")).toBe(401);
  expect(await statusOf("GET", "no/such/path", keys.read)).toBe(404);
});

const layersOf = z.object({
  stack: z.array(
    z.object({
      route: z
        .object({
          path: z.union([z.string(), z.array(z.string())]),
          stack: z.array(z.object({ method: z.string() })),
        })
        .optional(),
      handle: z.unknown(),
    }),
  ),
});

/** The routes of a router that is not ours, and of the routers and applications below it. */
function routesBelow(handle: unknown): { method: string; path: string }[] {
  if (typeof handle !== "function") return [];
  // Routers and applications are functions that have these.
  const stack: unknown = Reflect.get(
    "stack" in handle ? handle : Object(Reflect.get(handle, "router")),
    "stack",
  );
  const { success, data } = layersOf.safeParse({ stack });
  if (!success) return [];
  return data.stack.flatMap(({ route, handle: below }) =>
    route === undefined
      ? routesBelow(below)
      : [route.path]
          .flat()
          .flatMap((path) => route.stack.map(({ method }) => ({ method: method.toUpperCase(), path }))),
  );
}

const asText = (method: string, path: string): string =>
  `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`;
const listed = routes.map(({ method, path }) => asText(method, fullPath(path))).toSorted();

test("no line is repeated, and the OpenAPI document describes exactly these operations", () => {
  expect(new Set(listed).size).toBe(listed.length);
  const documented = Object.entries(describeApi(routes, { needsKey: true }).paths).flatMap(
    ([path, methods]) => Object.keys(methods).map((method) => asText(method, path)),
  );
  expect(documented.toSorted()).toEqual(listed);
});

describe("the application", () => {
  let app: Express;
  let dependencies: ApiDependencies;

  beforeAll(async () => {
    const settings = requireServices(readConfiguration(api.env));
    const log = createLogger({ name: "api", level: "silent" });
    const { signal } = new AbortController();
    dependencies = await openDependencies(settings, log, {
      starting: signal,
      leaving: signal,
      stopping: signal,
    });
    app = createApp(dependencies, settings);
  });
  afterAll(() => dependencies.close());

  /** Those of Bull Board and, open to everybody, of the dashboard's pages. */
  const routersOf = ({ router }: Express): unknown[] =>
    router.stack.flatMap(({ handle }) => ("stack" in handle ? [handle] : []));

  test("has exactly the routes of the table, and the routers of Bull Board and of the pages", () => {
    const own = app.router.stack.flatMap(({ route }) => {
      if (route === undefined) return [];
      const methods = new Set<string | undefined>(route.stack.map(({ method }) => method));
      methods.delete(undefined); // What answers all other methods.
      return [...methods].map((method = "") => asText(method, route.path));
    });
    const ofComfy = comfyRoutes.map(({ method, path }) => asText(method, path));
    expect([...own, `GET ${boardPath}`].toSorted()).toEqual([...listed, ...ofComfy].toSorted());
    const [, pages, ...others] = routersOf(app);
    expect(routesBelow(pages).filter(({ method }) => method !== "GET")).toEqual([]);
    expect(others).toEqual([]);
  });

  test("lets only operators reach any route of Bull Board, however its path is spelled", async () => {
    const board = routesBelow(routersOf(app)[0]);
    expect(board.length).toBeGreaterThan(20);
    const spelled = ["/ADMIN/Queues/api/queues", "/admin/queues//api/queues", "/admin/queues/static/x.js"];
    const asked = [
      ...board.map(({ method, path }) => ({
        method,
        path: boardPath + path.replace(":queueName", defaultLane).replaceAll(/:\w+/g, unknownId),
      })),
      ...spelled.map((path) => ({ method: "GET", path })),
    ];
    for (const { method, path } of asked) {
      const statuses = await Promise.all(
        [undefined, keys.read, keys.submit].map(async (key) => {
          const headers = key === undefined ? {} : { "x-api-key": key };
          return (await api.request(path, { method, headers })).status;
        }),
      );
      expect([method, path, statuses]).toEqual([method, path, [401, 403, 403]]);
    }
  });
});
