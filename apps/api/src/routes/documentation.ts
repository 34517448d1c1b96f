import { type Router } from "express";
import { documentationPage, landingPage } from "../documentation-pages.ts";
import { describeApi } from "../openapi.ts";
import { resource } from "../resource.ts";

/** `/`, `/docs` and `/openapi.json`: what the API can do, for people and for programs. Open to everybody. */
export function addDocumentationRoutes(router: Router): void {
  const description = describeApi();
  const document = JSON.stringify(description);
  const docs = documentationPage(description);
  const landing = landingPage();
  resource(router, "/openapi.json", {
    get: (_request, response) => {
      response.type("application/json").send(document);
    },
  });
  resource(router, "/docs", {
    get: (_request, response) => {
      response.type("html").send(docs);
    },
  });
  resource(router, "/", {
    get: (_request, response) => {
      response.type("html").send(landing);
    },
  });
}
