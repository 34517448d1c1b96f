import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type Access } from "../access/access.ts";
import { documentationPage, landingPage } from "../documentation/documentation-pages.ts";
import { type GuardedRoutes } from "../access/guarded-routes.ts";
import { describeApi } from "../documentation/openapi.ts";

/** `/`, `/docs` and `/openapi.json`: what the API can do, for people and for programs. Open to everybody. */
export function addDocumentationRoutes(
  routes: GuardedRoutes,
  { access, publicUrl }: { access: Pick<Access, "needsKey">; publicUrl: string | undefined },
): void {
  const [withKeys, keyless] = [true, false].map((needsKey) =>
    JSON.stringify(describeApi({ needsKey, publicUrl })),
  );
  const docs = documentationPage();
  const landing = landingPage(publicUrl);
  // One file that needs nothing else, and comes from here: the page works without any other server.
  const renderer = rendererScript();
  routes.resource("/openapi.json", {
    get: (_request, response) => {
      // The first key may be made while we run.
      response.type("application/json").send(access.needsKey ? withKeys : keyless);
    },
  });
  routes.resource("/docs", {
    get: (_request, response) => {
      response.type("html").send(docs);
    },
  });
  routes.resource("/docs/redoc.js", {
    get: (_request, response) => {
      response.set("cache-control", "public, max-age=3600").type("text/javascript").send(renderer);
    },
  });
  routes.resource("/", {
    get: (_request, response) => {
      response.type("html").send(landing);
    },
  });
}

/** Redoc's own logo would be asked for at another server, which our policy forbids. */
function rendererScript(): string {
  const path = createRequire(import.meta.url).resolve("redoc/bundles/redoc.standalone.js");
  return readFileSync(path, "utf8").replaceAll("https://cdn.redoc.ly/redoc/logo-mini.svg", "data:,");
}
