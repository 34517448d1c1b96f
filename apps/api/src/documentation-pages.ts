import { type ApiDescription } from "./openapi.ts";
import { boardPath, prefix } from "./paths.ts";

/** The first page: where to go from here. */
export function landingPage(): string {
  const links = [
    ["/docs", "What the API can do"],
    ["/openapi.json", "The same, for programs (OpenAPI 3.1)"],
    [`${prefix}/health`, "How every part is doing"],
    [`${prefix}/queue`, "What waits and runs"],
    [`${prefix}/servers`, "The ComfyUI servers"],
    [boardPath, "Bull Board: tickets, read-only"],
    ["/metrics", "Figures for Prometheus"],
  ];
  const items = links.map(
    ([href = "", text = ""]) => `<li><a href="${href}">${escape(text)}</a> <code>${href}</code>`,
  );
  return page(
    "Genga",
    `<p>An anime production system: submit image and video jobs, and see at every moment what happens to them.
    <ul>${items.join("\n")}</ul>
    <pre>curl -s localhost:8328${prefix}/generate -H 'content-type: application/json' \\
  -d '{"type": "image", "prompt": "1girl, cherry blossoms, soft light"}'</pre>`,
  );
}

/** All operations and their schemas, without a script in it. */
export function documentationPage(description: ApiDescription): string {
  const operations = Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods as Record<string, Documented>).map(([method, operation]) =>
      operationSection(method, path, operation),
    ),
  );
  const schemas = Object.entries(description.components.schemas).map(
    ([name, schema]) =>
      `<section id="schema-${escape(name)}"><h3>${escape(name)}</h3>${json(schema)}</section>`,
  );
  return page(
    "Genga: the API",
    `<p><a href="/">Genga</a> · <a href="/openapi.json">openapi.json</a>
    ${paragraphs(description.info.description)}
    <h2>Operations</h2>${operations.join("\n")}<h2>Schemas</h2>${schemas.join("\n")}`,
  );
}

interface Documented {
  summary?: string;
  description?: string;
  parameters?: unknown;
  requestBody?: unknown;
  responses?: unknown;
}

function operationSection(method: string, path: string, operation: Documented): string {
  const { summary = "", description = "", parameters, requestBody, responses } = operation;
  const details = Object.entries({ parameters, body: requestBody, answers: responses })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `<details><summary>${name}</summary>${json(value)}</details>`);
  return `<section><h3><b>${method.toUpperCase()}</b> <code>${escape(path)}</code></h3>
    <p>${escape(summary)}${paragraphs(description)}${details.join("")}</section>`;
}

/** Schemas refer to each other; references become links. */
function json(value: unknown): string {
  const text = escape(JSON.stringify(value, null, 2));
  return `<pre>${text.replace(/#\/components\/schemas\/(\w+)/g, '<a href="#schema-$1">$&</a>')}</pre>`;
}

function paragraphs(text: string): string {
  return text
    .split("\n\n")
    .filter((paragraph) => paragraph !== "")
    .map((paragraph) => `<p>${escape(paragraph)}`)
    .join("");
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
