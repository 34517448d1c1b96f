import { documentationPage, landingPage } from "../documentation-pages.ts";
import { type GuardedRoutes } from "../guarded-routes.ts";
import { describeApi } from "../openapi.ts";

/** `/`, `/docs` and `/openapi.json`: what the API can do, for people and for programs. Open to everybody. */
export function addDocumentationRoutes(routes: GuardedRoutes, needsKey: boolean): void {
  const description = describeApi({ needsKey });
  const document = JSON.stringify(description);
  const docs = documentationPage(description);
  const landing = landingPage();
  routes.resource("/openapi.json", {
    get: (_request, response) => {
      response.type("application/json").send(document);
    },
  });
  routes.resource("/docs", {
    get: (_request, response) => {
      response.type("html").send(docs);
    },
  });
  routes.resource("/", {
    get: (_request, response) => {
      response.type("html").send(landing);
    },
  });
}
