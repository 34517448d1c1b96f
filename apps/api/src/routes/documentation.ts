import { html } from "../routing/contents.ts";
import { route, type RouteDependencies } from "../routing/route.ts";

type Parts = Pick<RouteDependencies, "documents">;

const open = { tag: "service", method: "GET", access: "open" } as const;

export const getLandingPage = route({
  ...open,
  id: "getLandingPage",
  path: "/",
  summary: "The dashboard; where it was not built, a page with links to all others",
  answers: { 200: { description: "A page.", content: html } },
  handler: ({ response }, { documents, pages }: Parts & Pick<RouteDependencies, "pages">) => {
    const page = pages.pageFor(response);
    return {
      ...(page !== undefined && { headers: page.headers }),
      text: { mediaType: "html", content: page?.content ?? documents.landingPage },
    };
  },
});

export const getDocumentation = route({
  ...open,
  id: "getDocumentation",
  path: "/docs",
  summary: "This document as a page",
  answers: { 200: { description: "A page.", content: html } },
  handler: (_asked, { documents }: Parts) => ({
    text: { mediaType: "html", content: documents.documentationPage },
  }),
});

export const getDocumentationScript = route({
  ...open,
  id: "getDocumentationScript",
  path: "/docs/redoc.js",
  summary: "The script that renders that page",
  answers: {
    200: { description: "Redoc.", content: { "text/javascript": { schema: { type: "string" } } } },
  },
  handler: (_asked, { documents }: Parts) => ({
    headers: { "cache-control": "public, max-age=3600" },
    text: { mediaType: "text/javascript", content: documents.documentationScript() },
  }),
});

export const getDescription = route({
  ...open,
  id: "getDescription",
  path: "/openapi.json",
  summary: "This document",
  answers: {
    200: { description: "OpenAPI 3.1.", content: { "application/json": { schema: { type: "object" } } } },
  },
  // The document depends on whether keys are needed, which changes when the first key is created.
  handler: (_asked, { access, documents: { openApi } }: Parts & Pick<RouteDependencies, "access">) => ({
    text: {
      mediaType: "application/json",
      content: access.needsKey ? openApi.withKeys() : openApi.keyless(),
    },
  }),
});
