import { type Access } from "../access.ts";
import { documentationPage, landingPage } from "../documentation-pages.ts";
import { type GuardedRoutes } from "../guarded-routes.ts";
import { describeApi } from "../openapi.ts";

/** `/`, `/docs` and `/openapi.json`: what the API can do, for people and for programs. Open to everybody. */
export function addDocumentationRoutes(routes: GuardedRoutes, access: Pick<Access, "needsKey">): void {
  const [withKeys, keyless] = [true, false].map((needsKey) => {
    const description = describeApi({ needsKey });
    return { document: JSON.stringify(description), docs: documentationPage(description) };
  });
  // The first key may be made while we run.
  const current = (): typeof withKeys => (access.needsKey ? withKeys : keyless);
  const landing = landingPage();
  routes.resource("/openapi.json", {
    get: (_request, response) => {
      response.type("application/json").send(current()?.document);
    },
  });
  routes.resource("/docs", {
    get: (_request, response) => {
      response.type("html").send(current()?.docs);
    },
  });
  routes.resource("/", {
    get: (_request, response) => {
      response.type("html").send(landing);
    },
  });
}
