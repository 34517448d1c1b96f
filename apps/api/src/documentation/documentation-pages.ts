import { boardPath, prefix } from "../http/paths.ts";

/**
 * The page at `/`, with links to everything else.
 * @param publicUrl `PUBLIC_URL`; behind a proxy it may have a path, and all links begin with that path
 */
export function landingPage(publicUrl: string | undefined): string {
  const basePath = publicUrl === undefined ? "" : new URL(publicUrl).pathname.replace(/\/$/, "");
  const links = [
    ["/docs", "All operations of the API"],
    ["/openapi.json", "The same, for programs (OpenAPI 3.1)"],
    [`${prefix}/health`, "The state of each part"],
    [`${prefix}/queue`, "Waiting and running jobs"],
    [`${prefix}/servers`, "The ComfyUI servers"],
    [boardPath, "Bull Board: tickets, read-only"],
    ["/metrics", "Figures for Prometheus"],
  ];
  const items = links.map(
    ([href = "", text = ""]) =>
      `<li><a href="${escape(basePath + href)}">${escape(text)}</a> <code>${href}</code>`,
  );
  return page(
    "Genga",
    `<p>An anime production system: submit image and video jobs, and see at every moment what happens to them.
    <p>The dashboard was not built here; <code>npm run build:dashboard</code> builds it, for the next start of the API.
    <ul>${items.join("\n")}</ul>
    <pre>curl -s ${escape(publicUrl ?? "localhost:8328")}${prefix}/generate -H 'content-type: application/json' \\
  -d '{"type": "image", "prompt": "1girl, cherry blossoms, soft light"}'</pre>`,
  );
}

/**
 * The OpenAPI document as a page with a table of contents, rendered by Redoc. All URLs are relative to the page, so
 * that it works below the path of a proxy. The search is off, because its worker would need a weaker
 * Content-Security-Policy.
 */
export function documentationPage(): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Genga: the API</title><style>body { margin: 0 }</style>
<redoc spec-url="openapi.json" disable-search="true" hide-download-button="true" expand-responses="200,201,202"
  required-props-first="true" path-in-middle-panel="true"></redoc>
<script src="docs/redoc.js"></script></html>`;
}

function escape(text: string): string {
  const names: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text.replace(/[&<>"]/g, (character) => names[character] ?? character);
}

function page(title: string, body: string): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escape(title)}</title><style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
pre { overflow: auto; padding: .75rem; border: 1px solid #8886; border-radius: .4rem; font-size: .85rem }
section { border-top: 1px solid #8886; padding-top: .25rem }
h3 { margin: .5rem 0 }
</style><h1>${escape(title)}</h1>${body}</html>`;
}
