import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type Documents, type RouteFacts } from "../routing/route.ts";
import { documentationPage, landingPage } from "./documentation-pages.ts";
import { describeApi } from "./openapi.ts";

/**
 * The documents about the routes. Each is made when it is first asked for, and kept: the OpenAPI document takes a fifth of a
 * second of processor time, which a start would cost without need.
 */
export function makeDocuments(
  routes: readonly RouteFacts[],
  { publicUrl }: { publicUrl: string | undefined },
): Documents {
  const openApi = (needsKey: boolean): (() => string) =>
    once(() => JSON.stringify(describeApi(routes, { needsKey, publicUrl })));
  return {
    openApi: { withKeys: openApi(true), keyless: openApi(false) },
    landingPage: landingPage(publicUrl),
    documentationPage: documentationPage(),
    documentationScript: once(rendererScript),
  };
}

function once(make: () => string): () => string {
  let made: string | undefined;
  return () => (made ??= make());
}

/**
 * Redoc as one file, served by this API, so that the page needs no other server. Redoc's logo is replaced, because
 * browsers would load it from another server, which the Content-Security-Policy forbids.
 */
function rendererScript(): string {
  const path = createRequire(import.meta.url).resolve("redoc/bundles/redoc.standalone.js");
  return readFileSync(path, "utf8").replaceAll("https://cdn.redoc.ly/redoc/logo-mini.svg", "data:,");
}
