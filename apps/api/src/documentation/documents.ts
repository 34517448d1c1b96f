import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type Documents, type RouteFacts } from "../routing/route.ts";
import { documentationPage, landingPage } from "./documentation-pages.ts";
import { describeApi } from "./openapi.ts";

/** Makes, once for each process, what people and programs read about the routes. */
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
 * One file that needs nothing else, and comes from here: the page works without any other server. Redoc's own logo would
 * be asked for at another server, which our policy forbids.
 */
function rendererScript(): string {
  const path = createRequire(import.meta.url).resolve("redoc/bundles/redoc.standalone.js");
  return readFileSync(path, "utf8").replaceAll("https://cdn.redoc.ly/redoc/logo-mini.svg", "data:,");
}
