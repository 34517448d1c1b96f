import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type Documents, type RouteFacts } from "../routing/route.ts";
import { documentationPage, landingPage } from "./documentation-pages.ts";
import { describeApi } from "./openapi.ts";

/** Builds the documents about the routes once for each process. */
export function makeDocuments(
  routes: readonly RouteFacts[],
  { publicUrl }: { publicUrl: string | undefined },
): Documents {
  const openApi = (needsKey: boolean): string => JSON.stringify(describeApi(routes, { needsKey, publicUrl }));
  return {
    openApi: { withKeys: openApi(true), keyless: openApi(false) },
    landingPage: landingPage(publicUrl),
    documentationPage: documentationPage(),
    documentationScript: rendererScript(),
  };
}

/**
 * Redoc as one file, served by this API, so that the page needs no other server. Redoc's logo is replaced, because
 * browsers would load it from another server, which the Content-Security-Policy forbids.
 */
function rendererScript(): string {
  const path = createRequire(import.meta.url).resolve("redoc/bundles/redoc.standalone.js");
  return readFileSync(path, "utf8").replaceAll("https://cdn.redoc.ly/redoc/logo-mini.svg", "data:,");
}
